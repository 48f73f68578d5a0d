"""Soft targets of the end given the gold start, by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.cache.mix import Mix
from pipeline.objectives.objective import build_objective

TERM = {"loss": "kd_ce", "from": "bert", "temperature": 2.0, "scale_by_temperature_squared": False}


def log_softmax(values):
    shifted = values - values.max()
    return shifted - np.log(np.exp(shifted).sum())


def with_end_rows(targets, gold_length, seed=5):
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(targets["end_logits"].shape, generator=generator, dtype=torch.float64)
    rows = rows[:, None, :][:, : max(gold_length)]
    return {**targets, "gold_end_logits": rows, "gold_length": torch.tensor(gold_length)}


def cross_entropy(student, teacher, length):
    q = np.exp(log_softmax(teacher[:length].numpy() / 2.0))
    return -(q * log_softmax(student[:length].detach().numpy() / 2.0)).sum()


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_the_end_is_that_given_the_gold_start(make_reading, reduction):
    """Row 0 is labelled; in row 1 the teacher saw no gold start, in row 2 the student; row 3 is filler."""
    outputs, batch = make_reading()
    batch["targets"]["bert"] = targets = with_end_rows(batch["targets"]["bert"], [1, 0, 1, 1])
    objective = build_objective([{**TERM, "end_rows": True, "reduction": reduction}])
    _, measured = objective(outputs, batch)
    lengths = [5, 3, 4]
    expected = sum(
        cross_entropy(outputs.start_logits[row], targets["start_logits"][row], lengths[row])
        for row in range(3)
    )
    expected += cross_entropy(outputs.end_logits[0], targets["gold_end_logits"][0, 0], 5)
    assert measured["kd_ce"].total == pytest.approx(expected / (2 if reduction == "mean" else 1), abs=1e-9)
    assert measured["kd_ce"].rows == 3


def test_without_the_option_the_end_is_the_teachers_own(make_reading):
    outputs, batch = make_reading()
    plain = build_objective([TERM])(outputs, batch)[1]["kd_ce"].total
    batch["targets"]["bert"] = with_end_rows(batch["targets"]["bert"], [1, 1, 1, 1])
    assert build_objective([TERM])(outputs, batch)[1]["kd_ce"].total == plain


def test_a_batch_without_gold_teaches_the_start_alone(make_reading):
    outputs, batch = make_reading()
    batch["targets"]["bert"] = with_end_rows(batch["targets"]["bert"], [0, 0, 0, 0])
    loss, _ = build_objective([{**TERM, "end_rows": True}])(outputs, batch)
    loss.backward()
    assert outputs.start_logits.grad.abs().sum() > 0
    assert outputs.end_logits.grad.abs().sum() == 0


def test_a_mix_averages_ends_given_the_gold_start(make_reading):
    """Hu et al. 2018, sec. 3.4: the arithmetic mean of the teachers' distributions."""
    outputs, batch = make_reading()
    members = [with_end_rows(batch["targets"].pop("bert"), [1, 1, 1, 1], seed) for seed in (5,)]
    members.append(with_end_rows(members[0], [1, 0, 1, 1], 6))
    batch["targets"] = {"bert": {}, "bert/0": members[0], "bert/1": members[1]}
    mix = Mix.of("mean_probabilities", 2, [3, 1])
    term = {**TERM, "end_rows": True, "reduction": "sum", "temperature": 1.0}
    objective = build_objective([term], {"bert": mix})
    with torch.no_grad():
        total = objective(outputs, batch)[1]["kd_ce"].total
        ends = replace(outputs, end_logits=torch.zeros_like(outputs.end_logits))
        flat = objective(ends, batch)[1]["kd_ce"].total
    # Row 0 alone: the second teacher saw no gold start in row 1, and row 2 has no label.
    q = sum(
        weight * np.exp(log_softmax(member["gold_end_logits"][0, 0, :5].numpy()))
        for member, weight in zip(members, (0.75, 0.25), strict=True)
    )
    expected = -(q * log_softmax(outputs.end_logits[0, :5].detach().numpy())).sum() - np.log(5)
    assert float(total - flat) == pytest.approx(expected, abs=1e-9)
