from pathlib import Path

import pytest

from pipeline.binding.inputs import BoundSource
from pipeline.errors import ParamsError
from pipeline.objectives.fit import check_fit

TERMS = [[{"loss": "kd_mse", "from": "both"}]]


def of_two(*equal: bool) -> BoundSource:
    targets = {
        f"both/{number}": {
            "cache": f"targets/{number}",
            "fields": {"span_logits": ""},
            "options": {"span_logits": {}},
            "max_length": 64,
            "equal_tokens": same,
            "lost": {"start": 0.0, "end": 0.0},
        }
        for number, same in enumerate(equal)
    }
    mix = {"mean": "mean_logits", "weights": [0.5, 0.5]}
    return BoundSource(0, 0, "towns", "train", 4, 4, 0, Path("towns"), targets, {"both": mix})


def test_every_member_of_a_mix_must_have_the_students_tokens():
    check_fit("student", TERMS, [of_two(True, True)])
    for equal in [(False, True), (True, False), (False, False)]:
        with pytest.raises(ParamsError, match="kd_mse needs a student with its teacher's tokens") as caught:
            check_fit("student", TERMS, [of_two(*equal)])
        assert str(caught.value).count("kd_mse needs") == 1
