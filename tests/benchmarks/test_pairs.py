"""The median's interval is checked against draws whose median is known."""

import random

import pytest

from benchmarks.pairs import Ratio, UnmeasurableError, interleaved, judge, median_interval, run


def ratio(direction="at least", bar=2.0, measure=lambda pairs: iter([])):
    return Ratio("r", "ours", "theirs", direction, bar, measure)


def test_nine_values():
    # P(Binomial(9, 1/2) < 2) = 10/512: 96.1 % between the second and the eighth; the third would give 82 %.
    assert median_interval([9.0, 1.0, 8.0, 2.0, 7.0, 3.0, 6.0, 4.0, 5.0]) == (2.0, 8.0)


def test_twenty_one_values():
    # P(Binomial(21, 1/2) < 7) = 0.0392 and < 8 = 0.0946: so the seventh and the fifteenth.
    assert median_interval([float(value) for value in range(1, 22)]) == (7.0, 15.0)


@pytest.mark.parametrize("count", [9, 15, 30])
def test_coverage(count):
    draws = random.Random(0)
    covered = 0
    for _ in range(2000):
        low, high = median_interval([draws.expovariate(1.0) for _ in range(count)])
        covered += low <= 0.6931 <= high
    assert covered / 2000 > 0.89


def test_too_few_values():
    with pytest.raises(ValueError, match="no interval of 90%"):
        median_interval([1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("direction", "bar", "holds"),
    [("at least", 2.0, True), ("at least", 2.01, False), ("at most", 0.5, True), ("at most", 0.49, False)],
)
def test_bar(direction, bar, holds):
    result = judge(ratio(direction, bar), [(1.0, 2.0)] * 9)
    assert result["holds"] is holds
    assert result["ratio"] == (2.0 if direction == "at least" else 0.5)


def test_the_near_end_of_the_interval_decides():
    pairs = [(1.0, value) for value in (1.0, 1.9, 2.0, 2.1, 2.2, 2.3, 2.4, 2.5, 9.0)]
    result = judge(ratio(bar=2.0), pairs)
    assert (result["ratio"], result["low"], result["high"], result["holds"]) == (2.2, 1.9, 2.5, False)


def test_no_bar():
    assert judge(ratio(bar=None), [(1.0, 2.0)] * 9)["holds"] is None


def test_what_cannot_be_measured():
    def measure(pairs):
        raise UnmeasurableError("no data")
        yield

    result = run(ratio(measure=measure), 9)
    assert (result["holds"], result["ratio"], result["reason"]) == (None, None, "no data")


def test_interleaved_alternates_who_goes_first():
    calls = []
    pairs = list(interleaved(lambda: calls.append("a"), lambda: calls.append("b"), 3))
    assert "".join(calls) == "ab" + "ab" + "ba" + "ab"
    assert len(pairs) == 3
