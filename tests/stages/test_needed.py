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


MATCHES = [
    {"loss": "nst", "from": "t", "teacher_layer": [3, 3], "student_layer": [1, 1]},
    {"loss": "hidden_mse", "from": "t", "teacher_layer": 3, "student_layer": 1},
    {"loss": "pkd", "from": "t", "teacher_layer": 2, "student_layer": 1},
    {"loss": "cos", "from": "t", "teacher_layer": 2, "student_layer": 1},
    {"loss": "nst", "from": "t", "teacher_layer": [0, 2], "student_layer": 1},
    {"loss": "attention_mse_sum", "from": "t", "teacher_layer": 1, "student_layer": 1},
    {"loss": "sentence_cos", "from": "t", "student_layer": 1},
]


def test_matches_need_the_smallest_that_serves_them_all() -> None:
    small = student({"t": "big"}, *MATCHES)
    assert needed_fields(params(small=small), ["small"]) == {
        "big": {
            "attention_scores": {"layers": [1], "heads": "sum", "dtype": "float16"},
            "gram": {"layers": [[0, 2]], "dtype": "float16"},
            "hidden_states": {"layers": [3], "dtype": "float16"},
            "sentence_vector": {"pooling": "first", "layer": -1, "dtype": "float16"},
            "unit_vectors": {"layers": [2], "dtype": "float16"},
        }
    }


def test_what_is_cached_already_serves(tmp_path: Path) -> None:
    raw = params(small=student({"t": "big"}, MATCHES[0], MATCHES[2]))
    raw["targets"]["big"]["fields"] = {"hidden_states": {"layers": [2, 3], "dtype": "float32"}}
    assert needed_fields(raw, ["small"]) == {"big": {"hidden_states": {"layers": [2, 3], "dtype": "float32"}}}


@pytest.mark.parametrize(("max_tokens", "field"), [(64, "attention_scores"), (512, "attention_qk")])
def test_attention_of_each_head_is_stored_as_what_is_smaller(max_tokens: int, field: str) -> None:
    raw = params(small=student({"t": "big"}, {**MATCHES[5], "loss": "attention_mse"}, MATCHES[5]))
    raw["targets"]["big"]["dataset"] = "x"
    raw["selection"] = {"x": {"max_tokens": max_tokens}}
    (found,) = needed_fields(raw, ["small"])["big"]
    assert found == field


def test_a_preset_needs_hidden_states_alone() -> None:
    small = student({"t": "big"}, {"matches": "T4-tiny", "from": "t"})
    found = needed_fields(params(small=small), ["small"])
    assert found == {"big": {"hidden_states": {"layers": [0, 3, 6, 9, 12], "dtype": "float16"}}}
