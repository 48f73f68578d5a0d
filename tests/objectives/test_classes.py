"""Gold and soft terms on the logits of classes, against numpy."""

import numpy as np
import pytest
import torch

from pipeline.cache.mix import Mix
from pipeline.models.reading import ClassOutputs
from pipeline.objectives.objective import build_objective

GOLD = {"loss": "gold", "student": "classification"}
COUNTED = [True, True, True, False]
LABELS = [2, -1, 0, 1]


def log_softmax(values):
    return values - np.log(np.exp(values).sum(-1, keepdims=True))


@pytest.fixture
def reading():
    """Four rows of three classes: the second without a label, the last a filler."""
    draw = np.random.default_rng(1).normal
    student, one, other = draw(size=(4, 3)), draw(size=(4, 3)), draw(size=(4, 3))
    batch = {
        "gold": torch.tensor(LABELS)[:, None],
        "counted": torch.tensor(COUNTED),
        "passage_offsets": torch.tensor([[[0, 1]]] * 4),
        "targets": {
            "bert": {"class_logits": torch.from_numpy(one)},
            "both/0": {"class_logits": torch.from_numpy(one)},
            "both/1": {"class_logits": torch.from_numpy(other)},
        },
    }
    return ClassOutputs(torch.from_numpy(student).requires_grad_()), batch, (student, one, other)


def test_gold_is_the_cross_entropy_of_labelled_rows(reading):
    outputs, batch, (student, _, _) = reading
    loss, parts = build_objective([GOLD])(outputs, batch)
    expected = -(log_softmax(student)[0, 2] + log_softmax(student)[2, 0]) / 2
    assert loss.item() == pytest.approx(expected)
    assert int(parts["gold"].rows) == 2
    loss.backward()
    assert not outputs.class_logits.grad[[1, 3]].any()


@pytest.mark.parametrize("loss", ["kd_ce", "kd_kl"])
@pytest.mark.parametrize("mean", [None, "mean_logits", "mean_probabilities"])
def test_a_soft_term_is_the_loss_at_its_temperature(reading, loss, mean):
    outputs, batch, (student, one, other) = reading
    mix = Mix.of(mean, 2, [3, 1]) if mean else None
    source = "both" if mix else "bert"
    term = {"loss": loss, "student": "classification", "from": source, "temperature": 2.0}
    got, _ = build_objective([term], {"both": mix} if mix else {})(outputs, batch)

    wanted = log_softmax(one / 2)
    if mean == "mean_logits":
        wanted = log_softmax((0.75 * one + 0.25 * other) / 2)
    if mean == "mean_probabilities":
        wanted = np.log(0.75 * np.exp(log_softmax(one / 2)) + 0.25 * np.exp(log_softmax(other / 2)))
    entropy = wanted if loss == "kd_kl" else 0.0
    rows = (np.exp(wanted) * (entropy - log_softmax(student / 2))).sum(-1)[:3]
    assert got.item() == pytest.approx(4 * rows.mean())


def test_of_one_part_the_sum_is_the_mean(reading):
    outputs, batch, _ = reading
    assert (
        build_objective([GOLD])(outputs, batch)[0]
        == build_objective([GOLD | {"reduction": "sum"}])(outputs, batch)[0]
    )
