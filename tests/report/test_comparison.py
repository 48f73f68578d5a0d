import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.arms import Arm
from pipeline.report.comparison import LEAST_GAP, compare, gap_closed

PERCENT = st.floats(0, 100)


@pytest.mark.parametrize(
    ("student", "teacher", "gold_only", "share"),
    [
        # Ren 2020 on CMRC2018: (79.9 - 72.5) / (85.4 - 72.5).
        (79.9, 85.4, 72.5, 0.5736434),
        (50.0, 80.0, 60.0, -0.5),
        (90.0, 80.0, 60.0, 1.5),
        (70.0, 60.0, 60.0, None),
        (70.0, 50.0, 60.0, None),
        # A small RMR on SQuAD: its three teachers together are hardly better than it is alone.
        (39.5, 39.4, 39.2, None),
        (60.5, 61.0, 60.0, 0.5),
    ],
)
def test_gap_closed(student, teacher, gold_only, share):
    assert gap_closed(student, teacher, gold_only) == pytest.approx(share)


@given(PERCENT, PERCENT)
def test_the_ends_of_the_gap(teacher, gold_only):
    if teacher - gold_only >= LEAST_GAP:
        assert gap_closed(gold_only, teacher, gold_only) == 0
        assert gap_closed(teacher, teacher, gold_only) == 1


def scores(f1, key="a.dev"):
    return {key: {"em": f1 - 10, "f1": f1}}


def test_the_best_teacher_counts_by_set():
    given_scores = {"student": scores(70.0), "gold": scores(60.0), "one": scores(75.0), "two": scores(80.0)}
    found = compare("student", Arm(("one", "two"), "gold"), given_scores)
    assert found["a.dev"]["teacher"] == {"name": "two", "em": 70, "f1": 80}
    assert found["a.dev"]["gold_only"] == {"name": "gold", "em": 50, "f1": 60}
    assert found["a.dev"]["gap_closed"] == {"em": 0.5, "f1": 0.5}


@pytest.mark.parametrize(
    ("arm", "others"),
    [
        (Arm(("one",), None), {"one": scores(80.0)}),
        (Arm((), "gold"), {"gold": scores(60.0)}),
        (Arm(("one",), "gold"), {"one": scores(80.0)}),
        (Arm(("one",), "gold"), {"one": scores(80.0), "gold": scores(60.0, "b.dev")}),
    ],
)
def test_no_share_without_both(arm, others):
    found = compare("student", arm, {"student": scores(70.0), **others})["a.dev"]
    assert found["gap_closed"] == {"em": None, "f1": None}
    assert found["gold_only"] is None or found["teacher"] is None
