"""The shift worked by hand, on logits with two axes and with three."""

import numpy as np
import pytest
import torch

from pipeline.objectives.probability_shift import probability_shift

LOGITS = [[1.0, 5.0, 2.0, 9.0], [7.0, 1.0, 3.0, 0.0], [4.0, 6.0, 5.0, 0.0], [1.0, 2.0, 3.0, 4.0]]
MASK = [[True, True, True, False], [True] * 4, [True] * 4, [True, True, False, False]]
# The gold class gets the largest logit; right already; no label; a label at a class that does not exist.
GOLD = [2, 0, -1, 3]
SHIFTED = [[1.0, 2.0, 5.0, 9.0], [7.0, 1.0, 3.0, 0.0], [4.0, 6.0, 5.0, 0.0], [1.0, 2.0, 3.0, 4.0]]


@pytest.mark.parametrize("shape", [(4,), (2, 2)])
def test_known_rows(shape):
    found = probability_shift(
        torch.tensor(LOGITS).view(*shape, 4),
        torch.tensor(GOLD).view(shape),
        mask=torch.tensor(MASK).view(*shape, 4),
    )
    assert found.view(4, 4).tolist() == SHIFTED


def test_against_numpy():
    random = np.random.default_rng(0)
    logits = random.normal(size=(40, 6))
    gold = random.integers(-1, 6, 40)
    expected = logits.copy()
    for row, label in zip(expected, gold, strict=True):
        if label >= 0:
            best = int(np.argmax(row))
            row[best], row[label] = row[label], row[best]
    found = probability_shift(
        torch.tensor(logits), torch.tensor(gold), mask=torch.ones(40, 6, dtype=torch.bool)
    ).numpy()
    np.testing.assert_array_equal(found, expected)
    assert (found.argmax(1)[gold >= 0] == gold[gold >= 0]).all()
