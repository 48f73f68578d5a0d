from typing import Any

import pytest

from pipeline.datasets.rows import UNPLACED, Broken, row, shown
from pipeline.schema import Answer, Example


def test_right_values_become_an_example() -> None:
    answers = [{"text": "Seine", "answer_start": 18}]
    assert row("a", "Where?", "c", answers, None) == Example("a", "Where?", "c", (Answer("Seine", 18),))


@pytest.mark.parametrize(("id", "name"), [(None, ""), (12, "12"), ("x", "x")])
def test_an_id_becomes_text(id: Any, name: str) -> None:
    assert row(id, "q", "c", None, None) == Example(name, "q", "c")


@pytest.mark.parametrize(
    ("values", "detail"),
    [
        ((None, "c", [], None), "question: expected text; got nothing"),
        (("q", 5, [], None), "context: expected text; got int 5"),
        (("q", "c", "Paris", None), "answers: expected a list; got str 'Paris'"),
        (("q", "c", [], "false"), "is_impossible: expected true or false; got str 'false'"),
    ],
)
def test_wrong_types_are_named(values: tuple[Any, ...], detail: str) -> None:
    assert row("a", *values) == Broken("a", "malformed", detail)


@pytest.mark.parametrize("start", [None, "18", 18.5, True])
def test_an_offset_that_is_none_leaves_the_answer_unplaced(start: Any) -> None:
    made = row("a", "q", "c", [{"text": "Seine", "answer_start": start}], None)
    assert isinstance(made, Example)
    assert made.answers == (Answer("Seine", UNPLACED),)


@pytest.mark.parametrize("answer", ["Seine", None, {}, {"text": 3, "answer_start": 0}])
def test_an_answer_that_is_none_is_empty(answer: Any) -> None:
    made = row("a", "q", "c", [answer, {"text": "Seine", "answer_start": 1}], None)
    assert isinstance(made, Example)
    assert made.answers == (Answer("", UNPLACED), Answer("Seine", 1))


def test_long_values_are_shortened_in_messages() -> None:
    assert len(shown("x" * 1000)) == 80
