"""Params of two-step readers: whose ends can be cached, and which ends their students follow."""

from pathlib import Path
from typing import Any

import pytest
from transformers import BertConfig

from pipeline.errors import ParamsError
from stages.params import parse

FIELDS = {"span_logits": {}, "end_rows": {}, "top_end_rows": {"k": 2}}


def checked(params: dict[str, Any]) -> None:
    parse(params, Path("params.yaml"), models=True)


@pytest.fixture
def two_step(tiny: dict[str, Any]) -> dict[str, Any]:
    """An RMR teaches an RMR."""
    for section, name in (("teachers", "teacher"), ("students", "small")):
        tiny[section][name]["model"] = {"architecture": "rmr", "hidden_size": 4, "trainable_words": True}
    tiny["targets"]["teacher_towns"]["fields"] = FIELDS
    tiny["students"]["small"]["phases"][0]["terms"][1]["end_rows"] = True
    return tiny


def test_a_two_step_teacher_of_a_two_step_student(two_step: dict[str, Any]) -> None:
    checked(two_step)


def test_a_student_of_one_step_may_take_either_end(two_step: dict[str, Any]) -> None:
    two_step["students"]["small"]["model"] = {"architecture": "qanet", "trainable_words": True}
    checked(two_step)
    two_step["students"]["small"]["phases"][0]["terms"][1]["end_rows"] = False
    checked(two_step)


def test_ends_that_are_not_given_the_same_start(two_step: dict[str, Any]) -> None:
    del two_step["students"]["small"]["phases"][0]["terms"][1]["end_rows"]
    message = r"phases\.0\.terms\.1: expected 'end_rows: true'.*of 'teacher' is that given its own best start"
    with pytest.raises(ParamsError, match=message):
        checked(two_step)


def test_a_field_that_the_cache_lacks(two_step: dict[str, Any]) -> None:
    two_step["targets"]["teacher_towns"]["fields"] = {"span_logits": {}}
    with pytest.raises(ParamsError, match=r"kd_kl needs field 'end_rows'; add 'end_rows: \{\}' to"):
        checked(two_step)


@pytest.mark.parametrize("is_checkpoint", [False, True])
def test_a_teacher_of_one_step(two_step: dict[str, Any], tmp_path: Path, is_checkpoint: bool) -> None:
    teacher = two_step["teachers"]["teacher"]
    teacher["model"] = {"architecture": "qanet", "trainable_words": True}
    if is_checkpoint:
        BertConfig().save_pretrained(tmp_path)
        teacher["model"] = {"from": str(tmp_path)}
    message = r"targets\.teacher_towns\.fields: end_rows, top_end_rows: only of a two-step teacher \(rmr\)"
    with pytest.raises(ParamsError, match=message):
        checked(two_step)


def test_a_checkpoint_that_is_not_there_yet_is_left_to_the_stages(two_step: dict[str, Any]) -> None:
    two_step["teachers"]["teacher"]["model"] = {"from": "some/where"}
    checked(two_step)


def test_only_spans_have_ends(two_step: dict[str, Any]) -> None:
    two_step["students"]["small"]["phases"][0]["terms"][1] |= {"student": "classification"}
    with pytest.raises(ParamsError, match="end_rows: expected false: only spans have ends; got True"):
        checked(two_step)
