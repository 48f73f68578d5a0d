"""The worst of a question's variants, against the rules written out another way."""

from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.variants import worst_variants

ROWS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from(["", "-high", "-turk0", "-turk1"])),
    max_size=12,
    unique=True,
).flatmap(
    lambda ids: st.lists(
        st.tuples(st.booleans(), st.sampled_from([0.0, 0.25, 0.5, 1.0])),
        min_size=len(ids),
        max_size=len(ids),
    ).map(
        lambda scores: [
            {"id": "".join(name), "em": float(em), "f1": f1}
            for name, (em, f1) in zip(ids, scores, strict=True)
        ]
    )
)


def row(name, em, f1):
    return {"id": name, "em": em, "f1": f1}


def test_by_hand():
    found = worst_variants(
        [
            row("1", 1.0, 1.0),
            row("1-turk0", 0.0, 0.5),
            row("1-turk1", 1.0, 1.0),
            row("2-turk0", 1.0, 1.0),
            row("2", 0.0, 0.0),  # an original does not count beside a variant
            row("3", 0.0, 0.25),  # but by itself
            {"id": "4"},  # without a gold answer
        ]
    )
    assert found == {"worst_variant": {"em": pytest.approx(100 / 3), "f1": pytest.approx(175 / 3), "rows": 3}}


def test_of_equally_bad_variants_the_first_counts():
    rows = [row("1-a", 1.0, 0.5), row("1-b", 0.0, 0.5)]
    assert worst_variants(rows)["worst_variant"]["em"] == 100
    assert worst_variants(rows[::-1])["worst_variant"]["em"] == 0


def test_without_any_question():
    assert worst_variants([]) == worst_variants([{"id": "1"}]) == {}


@given(ROWS)
def test_as_sorted_by_question(rows):
    expected = []
    ordered = sorted(rows, key=lambda of_row: of_row["id"].split("-")[0])
    for name, group in groupby(ordered, key=lambda of_row: of_row["id"].split("-")[0]):
        own = list(group)
        changed = [of_row for of_row in own if of_row["id"] != name]
        expected.append(min(changed or own, key=lambda of_row: of_row["f1"]))
    found = worst_variants(rows)
    if not rows:
        assert found == {}
        return
    assert found["worst_variant"] == {
        "em": pytest.approx(100 * sum(of_row["em"] for of_row in expected) / len(expected)),
        "f1": pytest.approx(100 * sum(of_row["f1"] for of_row in expected) / len(expected)),
        "rows": len(expected),
    }
