import math

import pytest

from pipeline.schedules.warmup import logarithmic_warmup


def test_known_values():
    # log(1 + 9) / log(1 + 99) = 1 / 2
    assert logarithmic_warmup(9, 99) == pytest.approx(0.5)
    assert logarithmic_warmup(0, 1000) == 0
    assert logarithmic_warmup(1000, 1000) == 1
    assert logarithmic_warmup(5000, 1000) == 1
    assert logarithmic_warmup(0, 0) == 1


def test_it_rises_faster_than_a_straight_line():
    shares = [logarithmic_warmup(step, 1000) for step in range(1001)]
    assert shares == sorted(shares)
    assert all(share >= step / 1000 for step, share in enumerate(shares))
    assert shares[10] == pytest.approx(math.log(11) / math.log(1001))
