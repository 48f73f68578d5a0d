"""Cases worked by hand from the definitions, and an F1 found by trying every way to pair words."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.squad import normalise, score

WORDS = st.lists(st.sampled_from(["cat", "dog", "the", "a", "sat.", "on", "THE"]), max_size=5).map(" ".join)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Cat, sat!", "cat sat"),
        ("an apple a day", "apple day"),
        ("theatre of a-n", "theatre of"),
        ("don't", "dont"),
        ("“quoted”", "“quoted”"),
        ("\tBy\nthe sea ", "by sea"),
        ("the", ""),
    ],
)
def test_normalise(text, expected):
    assert normalise(text) == expected


@pytest.mark.parametrize(
    ("prediction", "golds", "em", "f1"),
    [
        ("the Eiffel Tower", ["Eiffel tower."], 1, 1),
        # 2 words shared, 3 predicted, 2 wanted: precision 2/3, recall 1.
        ("tall Eiffel Tower", ["Eiffel Tower"], 0, 0.8),
        # The second gold suits better: precision 1, recall 1/2.
        ("Paris", ["London", "Paris France"], 0, 2 / 3),
        # A word counts as often as it stands in both: 1 of 3, 1 of 1.
        ("no no no", ["no"], 0, 0.5),
        # Nothing is left of either: equal, but no word is shared, as the official script has it.
        ("the", ["a"], 1, 0),
        ("", ["Paris"], 0, 0),
        # Only ASCII punctuation goes.
        ("3–5", ["35"], 0, 0),
    ],
)
def test_golden(prediction, golds, em, f1):
    assert score(prediction, golds) == pytest.approx((em, f1))


def most_shared(one, other):
    """The most words that can be paired, tried over every order of the longer side."""
    short, long = sorted((one, other), key=len)
    return max(sum(a == b for a, b in zip(short, order, strict=False)) for order in permutations(long))


@given(WORDS, WORDS)
def test_f1_is_that_of_the_best_pairing(prediction, gold):
    one, other = normalise(prediction).split(), normalise(gold).split()
    shared = most_shared(one, other)
    expected = 0.0
    if shared:
        precision, recall = shared / len(one), shared / len(other)
        expected = 2 * precision * recall / (precision + recall)
    assert score(prediction, [gold]).f1 == pytest.approx(expected)


@given(WORDS, st.lists(WORDS, min_size=1, max_size=3), WORDS)
def test_another_gold_never_hurts(prediction, golds, more):
    fewer, all_of_them = score(prediction, golds), score(prediction, [*golds, more])
    assert all_of_them.em >= fewer.em
    assert all_of_them.f1 >= fewer.f1


@given(st.text(), st.text())
def test_bounds_and_symmetry(one, other):
    there, back = score(one, [other]), score(other, [one])
    assert there == back
    assert 0 <= there.f1 <= 1
    assert there.em in (0, 1)
    assert score(one, [one]).em == 1
