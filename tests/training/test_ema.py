import numpy as np
import pytest
import torch
from torch import nn

from pipeline.training.ema import AveragedWeights


def test_averages_equal_the_recursion_worked_in_float64():
    model = nn.Linear(3, 2)
    averages = AveragedWeights(model, decay=0.5)
    expected = model.weight.detach().double().numpy().copy()
    for update in range(1, 20):
        with torch.no_grad():
            model.weight.add_(torch.randn_like(model.weight))
        averages.update(update)
        decay = min(0.5, (1 + update) / (10 + update))
        expected = decay * expected + (1 - decay) * model.weight.detach().double().numpy()
    with averages.swapped_in():
        np.testing.assert_allclose(model.weight.detach().numpy(), expected, atol=1e-5)


def test_the_ramp_forgets_the_first_weights():
    averages = AveragedWeights(nn.Linear(1, 1), decay=0.9999)
    kept = np.prod([averages.decay_at(update) for update in range(1, 2001)])
    assert kept < 1e-6
    assert pytest.approx(0.8187, abs=1e-4) == 0.9999**2000
    assert averages.decay_at(10**7) == 0.9999


def test_averages_survive_a_file(tmp_path):
    model = nn.Linear(3, 2)
    averages = AveragedWeights(model, decay=0.9)
    model.weight.data.add_(1)
    averages.update(1)
    averages.save(tmp_path / "averages.safetensors")
    again = AveragedWeights(model, decay=0.9)
    again.load(tmp_path / "averages.safetensors")
    with averages.swapped_in():
        expected = model.weight.clone()
    with again.swapped_in():
        assert torch.equal(model.weight, expected)


def test_frozen_weights_are_left_out():
    model = nn.Sequential(nn.Embedding(4, 2), nn.Linear(2, 1))
    model[0].weight.requires_grad_(False)
    averages = AveragedWeights(model, decay=0.9)
    before = model[0].weight.clone()
    averages.update(1)
    with averages.swapped_in():
        assert torch.equal(model[0].weight, before)
    assert sorted(averages._averages) == ["1.bias", "1.weight"]


def test_half_precision_weights_are_averaged_in_float32():
    model = nn.Linear(2, 1).to(torch.bfloat16)
    averages = AveragedWeights(model, decay=0.9)
    averages.update(1)
    with averages.swapped_in():
        assert model.weight.dtype == torch.bfloat16
    assert all(value.dtype == torch.float32 for value in averages._averages.values())


def test_weights_come_back_after_an_error():
    model = nn.Linear(2, 1)
    averages = AveragedWeights(model, decay=0.9)
    model.weight.data.add_(5)
    own = model.weight.clone()

    def fail():
        with averages.swapped_in():
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert torch.equal(model.weight, own)
