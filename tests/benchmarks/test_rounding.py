from benchmarks import rounding
from benchmarks.pairs import FEWEST_PAIRS


def test_both_sides_take_time():
    pairs = list(rounding.measure(FEWEST_PAIRS, num_values=1000))
    assert len(pairs) == FEWEST_PAIRS
    assert all(ours > 0 and other > 0 for ours, other in pairs)
