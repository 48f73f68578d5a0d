from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.errors import ParamsError
from stages.needed import needed_fields, needed_lines


def params(**students: Any) -> dict[str, Any]:
    targets = {"big": {"fields": {"span_logits": {"dtype": "float32"}}}, "other": {"fields": {}}}
    return {"targets": targets, "students": students}


def student(targets: dict[str, Any], *terms: dict[str, Any]) -> dict[str, Any]:
    return {"phases": [{"sources": [{"dataset": "x", "targets": targets}], "terms": list(terms)}]}


def test_fields_that_params_lack_come_with_their_defaults() -> None:
    small = student(
        {"teacher": "big"},
        {"loss": "gold"},
        {"loss": "kd_kl", "from": "teacher"},
        {"loss": "answer_margin", "from": "teacher"},
    )
    assert needed_fields(params(small=small), ["small"]) == {
        "big": {"span_logits": {"dtype": "float32"}, "top_spans": {"k": 4}}
    }


def test_many_students_and_members_of_a_mix() -> None:
    one = student({"a": "big"}, {"loss": "kd_ce", "from": "a"})
    two = student({"m": {"mean_logits": ["big", "other"]}}, {"loss": "qa_attention_mse", "from": "m"})
    found = needed_fields(params(one=one, two=two), ["one", "two"])
    assert {name: set(fields) for name, fields in found.items()} == {
        "big": {"span_logits", "qa_attention"},
        "other": {"qa_attention"},
    }


def test_each_of_several_aliases_is_needed() -> None:
    small = student({"a": "big", "b": "other"}, {"loss": "answer_margin", "from": ["a", "b"]})
    assert set(needed_fields(params(small=small), ["small"])) == {"big", "other"}


def test_lines_are_yaml(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    small = student({"teacher": "big"}, {"loss": "kd_kl", "from": "teacher"})
    path.write_text(yaml.safe_dump(params(small=small, alone=student({}, {"loss": "gold"}))))
    lines = needed_lines(path, ["small"])
    assert yaml.safe_load("\n".join(lines)) == {
        "targets": {"big": {"fields": {"span_logits": {"dtype": "float32"}}}}
    }
    assert needed_lines(path, ["alone"]) == ["# alone: no term reads a target set"]


def test_an_unknown_student_is_named() -> None:
    with pytest.raises(ParamsError, match="did you mean 'small'"):
        needed_fields(params(small=student({})), ["small_"])


@pytest.mark.parametrize("small", [None, 3, {"phases": [3]}, {"phases": [{"terms": [None], "sources": [1]}]}])
def test_odd_params_need_nothing(small: Any) -> None:
    assert needed_fields({"students": {"small": small}}, ["small"]) == {}


@pytest.mark.parametrize("raw", [None, [], {}, {"students": 3}])
def test_params_without_students_are_named(raw: Any) -> None:
    with pytest.raises(ParamsError, match="small"):
        needed_fields(raw, ["small"])
