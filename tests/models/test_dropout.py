import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.models.dropout import Dropout


@given(rate=st.floats(0, 0.9), seed=st.integers(0, 2**31))
def test_share_and_mean(rate, seed):
    torch.manual_seed(seed)
    ones = torch.ones(101, 203)
    out = Dropout(rate).train()(ones)
    kept = out[out != 0]
    assert len(kept) / ones.numel() == pytest.approx(1 - rate, abs=0.02)
    assert kept.min() == kept.max()
    assert float(kept[0]) == pytest.approx(1 / (1 - rate), rel=0.02)


def test_elements_are_independent():
    """Neighbours share a word of random bits, and no more than their share of fate."""
    torch.manual_seed(0)
    dropped = (Dropout(0.25).train()(torch.ones(400_000)) == 0).float()
    for lag in range(1, 17):
        both = (dropped[lag:] * dropped[:-lag]).mean()
        assert both == pytest.approx(0.0625, abs=0.003)
    for place in range(8):
        assert dropped[place::8].mean() == pytest.approx(0.25, abs=0.01)


def test_it_rests_in_evaluation_and_at_rate_nought():
    states = torch.randn(5, 3)
    assert Dropout(0.5).eval()(states) is states
    assert Dropout(0.0).train()(states) is states


def test_gradient_passes_where_states_do():
    states = torch.randn(50, requires_grad=True)
    torch.manual_seed(0)
    out = Dropout(0.5).train()(states)
    out.sum().backward()
    assert torch.equal(states.grad != 0, out != 0)
