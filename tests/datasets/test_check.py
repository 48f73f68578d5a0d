import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.datasets.check import Checked, check, place
from pipeline.datasets.rows import UNPLACED, Broken
from pipeline.schema import Answer, Example

CONTEXT = "Rome, the old Rome. 日本、菲律宾。The euro, the Rome of money."


@pytest.mark.parametrize(
    ("answer", "placed"),
    [
        (Answer("old", 10), Answer("old", 10)),
        (Answer("old", 3), Answer("old", 10)),  # stands once, so any offset can be mended
        (Answer("old", UNPLACED), Answer("old", 10)),
        (Answer("old", 10**30), Answer("old", 10)),
        (Answer("Rome", 14), Answer("Rome", 14)),
        (Answer("Rome", 15), Answer("Rome", 14)),  # several times, one of them near
        (Answer("Rome", 1), Answer("Rome", 0)),
        (Answer("Rome", 8), "ambiguous_offset"),
        (Answer("Rome", UNPLACED), "ambiguous_offset"),
        (Answer(" old ", 10), Answer(" old ", 9)),  # stands as it is: kept as it is
        (Answer("old\n", 10), Answer("old", 10)),
        (Answer("菲律宾；", UNPLACED), Answer("菲律宾", 23)),
        (Answer("new", 3), "answer_not_in_context"),
        (Answer("  ", 5), "empty_answer"),
        (Answer("?!", 5), "answer_not_in_context"),
    ],
)
def test_place(answer: Answer, placed: Answer | str) -> None:
    assert place(answer, CONTEXT) == placed


def test_two_occurrences_equally_near_are_not_certain() -> None:
    assert place(Answer("ab", 2), "ab--ab") == "ambiguous_offset"
    assert place(Answer("aa", 1), "aaa") == "ambiguous_offset" or place(Answer("aa", 1), "aaa") == Answer(
        "aa", 1
    )


def test_offsets_counted_in_utf16_units_are_mended() -> None:
    context = "𫚭，俗名龙尖，为龙尖科。龙尖"
    claimed = len("𫚭，俗名".encode("utf-16-le")) // 2
    assert place(Answer("龙尖", claimed), context) == Answer("龙尖", claimed - 1)


@given(
    st.text(alphabet="ab .", min_size=1, max_size=12),
    st.text(alphabet="ab .", max_size=4),
    st.integers(-3, 15),
)
def test_what_is_placed_stands_there(context: str, text: str, start: int) -> None:
    placed = place(Answer(text, start), context)
    if isinstance(placed, Answer):
        assert context[placed.start : placed.start + len(placed.text)] == placed.text
        assert placed.text
        assert placed.text in text


@given(st.text(min_size=1, max_size=20), st.data())
def test_right_answers_are_left_alone(context: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(context) - 1))
    text = context[start : data.draw(st.integers(start + 1, len(context)))]
    if text.strip():
        assert place(Answer(text, start), context) == Answer(text, start)


def test_the_valid_answers_of_a_row_are_kept() -> None:
    golds = (Answer("Rome", 0), Answer("old", 9), Answer("new", 4), Answer("", UNPLACED))
    verdict = check(Example("a", "q", CONTEXT, golds), keep_impossible=False)
    # "new" stands nowhere, so nothing is taught of it; who answers it is right all the same.
    kept = Example(
        "a", "q", CONTEXT, (Answer("Rome", 0), Answer("old", 10)), gold_texts=("Rome", "old", "new")
    )
    assert verdict == Checked(kept, repaired=1, dropped=2)


@pytest.mark.parametrize(
    ("example", "reason", "detail"),
    [
        (Example("a", " ", "c"), "empty_question", "question ' '"),
        (Example("a", "q", "\n"), "empty_context", "context"),
        (Example("a", "q", "c", (Answer("x", 4),)), "answer_not_in_context", "answer str 'x' at 4"),
        (Example("a", "q", "c", is_impossible=True), "unanswerable", "no answer"),
        (
            Example("a", "q", "c", (Answer("c", 0),), is_impossible=True),
            "contradictory",
            "answer str 'c' at 0",
        ),
        (Example("a", "q\ud800", "c"), "not_unicode", "question"),
        (Example("a", "q", "c\udfff"), "not_unicode", "context"),
        (Example("a", "q", "c", gold_texts=("g", "\udfff")), "not_unicode", "gold text"),
        (Example("\ud800", "q", "c"), "not_unicode", "id"),
    ],
)
def test_refusals(example: Example, reason: str, detail: str) -> None:
    verdict = check(example, keep_impossible=False)
    assert isinstance(verdict, Broken)
    assert (verdict.id, verdict.reason) == (example.id, reason)
    assert detail in verdict.detail


def test_unanswerable_rows_are_kept_for_a_task_that_has_them() -> None:
    example = Example("a", "q", "c", is_impossible=True)
    assert check(example, keep_impossible=True) == Checked(example)


def test_a_row_without_answers_is_unlabelled_and_kept() -> None:
    assert check(Example("a", "q", "c"), keep_impossible=False) == Checked(Example("a", "q", "c"))
