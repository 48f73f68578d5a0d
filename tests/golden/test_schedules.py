"""Schedules worked with numpy, row by row and with no mask but a slice."""

import numpy as np
import pytest
import torch

from pipeline.schedules.cwsm import cwsm
from pipeline.schedules.flsw import flsw
from pipeline.schedules.temperature import FLOOR
from pipeline.schedules.weight import constant, linear_decay, linear_growth

STUDENT = np.array([[1.0, 2.0, -1.0, 0.5], [0.0, 3.0, 1.5, 9.9], [2.0, 2.0, 2.0, 2.0]])
TEACHER = np.array([[0.5, 3.0, -2.0, 0.0], [4.0, -1.0, 1.0, 9.9], [1.0, 2.0, 3.0, 4.0]])
LENGTHS = [4, 3, 4]
MASK = torch.tensor([[True] * length + [False] * (4 - length) for length in LENGTHS])


def expected(weights, temperature, beta):
    """Of three rows the first two count."""
    mean = (weights[0] + weights[1]) / 2
    return [max(temperature + beta * (mean - weight), FLOOR) for weight in weights]


def test_weights():
    shares = [0.0, 0.25, 1.0]
    assert [constant(share) for share in shares] == [1.0, 1.0, 1.0]
    assert [linear_decay(share) for share in shares] == [1.0, 0.75, 0.0]
    assert [linear_growth(share) for share in shares] == [0.0, 0.25, 1.0]


@pytest.mark.parametrize(("beta", "gamma"), [(1.0, 1.0), (2.0, 0.5), (30.0, 2.0)])
def test_flsw(beta, gamma):
    weights = []
    for s, z, n in zip(STUDENT, TEACHER, LENGTHS, strict=True):
        cosine = s[:n] @ z[:n] / np.sqrt((s[:n] @ s[:n]) * (z[:n] @ z[:n]))
        weights.append((1 - cosine) ** gamma)
    found = flsw(
        torch.tensor(STUDENT),
        torch.tensor(TEACHER),
        mask=MASK,
        counted=torch.tensor([True, True, False]),
        temperature=4.0,
        beta=beta,
        gamma=gamma,
    )
    np.testing.assert_allclose(found.numpy(), expected(weights, 4.0, beta), rtol=1e-12)
    if beta == 30.0:
        assert found.min() == FLOOR


@pytest.mark.parametrize("beta", [1.0, 20.0])
def test_cwsm(beta):
    weights = []
    for s, n in zip(STUDENT, LENGTHS, strict=True):
        exps = np.exp(s[:n])
        weights.append(exps.sum() / exps.max())
    found = cwsm(
        torch.tensor(STUDENT),
        None,
        mask=MASK,
        counted=torch.tensor([True, True, False]),
        temperature=4.0,
        beta=beta,
    )
    np.testing.assert_allclose(found.numpy(), expected(weights, 4.0, beta), rtol=1e-12)
    assert found[2] < found[0]  # the least sure row
