"""What soft terms do before the loss: put the teacher right, move temperatures, align."""

import numpy as np
import pytest
import torch

from pipeline.cache.mix import Mix
from pipeline.losses import LOSSES
from pipeline.models.reading import ClassOutputs
from pipeline.objectives.objective import build_objective
from pipeline.objectives.probability_shift import probability_shift
from pipeline.schedules.cwsm import cwsm
from pipeline.schedules.flsw import flsw

COUNTED = torch.tensor([True, True, True, False])


def soft(loss, **options):
    return {
        "loss": loss,
        "from": "bert",
        "temperature": 2.0,
        "scale_by_temperature_squared": False,
        **options,
    }


def by_hand(name, outputs, batch, schedule=None, shifted=False):
    """Start and end on equal tokens, averaged, from the functions themselves."""
    targets, total = batch["targets"]["bert"], 0.0
    for place, part in enumerate(outputs.parts):
        said = targets[f"{part.name}_logits"]
        if shifted:
            said = probability_shift(said, batch["gold"][:, place], mask=part.mask)
        rows = {"mask": part.mask, "counted": COUNTED}
        tau = schedule(part.logits, said, temperature=2.0, **rows) if schedule else 2.0
        total += LOSSES.load(name)(part.logits, said, temperature=tau, **rows)[0] / 2
    return total / 3


@pytest.mark.parametrize("loss", ["kd_bce", "kd_ce", "kd_kl", "kd_mse"])
def test_probability_shift_comes_first(make_reading, loss):
    outputs, batch = make_reading()
    got, _ = build_objective([soft(loss, probability_shift=True)])(outputs, batch)
    torch.testing.assert_close(got, by_hand(loss, outputs, batch, shifted=True))
    assert got != by_hand(loss, outputs, batch)


@pytest.mark.parametrize("loss", ["kd_bce", "kd_ce", "kd_kl", "kd_mse"])
@pytest.mark.parametrize("kind", ["cwsm", "flsw"])
def test_a_temperature_schedule_reads_the_shifted_teacher(make_reading, loss, kind):
    outputs, batch = make_reading()
    schedule = {"cwsm": cwsm, "flsw": flsw}[kind]
    term = soft(loss, temperature_schedule={"kind": kind, "beta": 1}, probability_shift=True)
    got, _ = build_objective([term])(outputs, batch)
    torch.testing.assert_close(got, by_hand(loss, outputs, batch, schedule=schedule, shifted=True))


@pytest.mark.parametrize("loss", ["kd_bce", "kd_ce", "kd_kl", "kd_mse"])
@pytest.mark.parametrize("kind", ["constant", "cwsm", "flsw"])
def test_a_row_of_which_the_teacher_says_nothing_teaches_nothing(make_reading, loss, kind):
    outputs, batch = make_reading()
    targets = batch["targets"]["bert"]
    for name in ("start_map", "end_map"):
        targets[name] = targets[name].clone()
        targets[name][1] = -1
    targets["passage_length"] = targets["passage_length"].clone()
    targets["passage_length"][1] = 0
    term = soft(loss, temperature_schedule={"kind": kind})
    got, _ = build_objective([term])(outputs, batch)
    got.backward()
    for logits in (outputs.start_logits, outputs.end_logits):
        assert logits.grad.isfinite().all()
        assert not logits.grad[1].any()
        assert logits.grad[[0, 2]].any(dim=1).all()
    # The others are taught as if it were not there, but for the mean over rows.
    batch["counted"] = torch.tensor([True, False, True, False])
    alone, _ = build_objective([term])(outputs, batch)
    if kind != "cwsm":  # which looks at the student alone
        torch.testing.assert_close(got, alone * 2 / 3)


def test_a_constant_schedule_is_none(make_reading):
    outputs, batch = make_reading()
    objectives = [
        build_objective([soft("kd_kl", **more)])
        for more in ({}, {"temperature_schedule": {"kind": "constant"}})
    ]
    assert objectives[0](outputs, batch)[0] == objectives[1](outputs, batch)[0]


def test_a_scheduled_term_is_scaled_by_the_square_of_its_configured_temperature(make_reading):
    outputs, batch = make_reading()
    term = soft("kd_kl", temperature_schedule={"kind": "cwsm"})
    plain, _ = build_objective([term])(outputs, batch)
    squared, _ = build_objective([term | {"scale_by_temperature_squared": True}])(outputs, batch)
    torch.testing.assert_close(squared, 4 * plain)


def test_on_other_tokens_the_teacher_is_put_right_in_its_own(make_reading):
    outputs, batch = make_reading()
    targets = batch["targets"]["bert"]
    # The teacher's tokens are the student's in another order.
    for side in ("start", "end"):
        order = torch.tensor([[4, 3, 2, 1, 0], [2, 1, 0, -1, -1], [3, 2, 1, 0, -1], [1, 0, -1, -1, -1]])
        targets[f"{side}_map"] = order
        own = targets[f"{side}_logits"]
        targets[f"{side}_logits"] = own.gather(1, order.clamp(min=0)).masked_fill(order < 0, 0)
    gold = batch["gold"]
    lengths = targets["passage_length"][:, None]
    targets["gold"] = torch.where(gold >= 0, lengths - 1 - gold, -1)
    got, _ = build_objective([soft("kd_kl", probability_shift=True)])(outputs, batch)
    for side in ("start", "end"):  # back in the student's order
        order = targets[f"{side}_map"]
        targets[f"{side}_logits"] = targets[f"{side}_logits"].gather(1, order.clamp(min=0))
    torch.testing.assert_close(got, by_hand("kd_kl", outputs, batch, shifted=True))


@pytest.mark.parametrize("mean", ["mean_logits", "mean_probabilities"])
def test_every_member_of_a_mix_is_put_right(make_reading, mean):
    outputs, batch = make_reading(dtype=torch.float32)
    alone = batch["targets"]["bert"]
    mixed = batch | {"targets": {"bert/0": alone, "bert/1": alone}}
    term = soft("kd_kl", probability_shift=True)
    one, _ = build_objective([term])(outputs, batch)
    two, _ = build_objective([term], {"bert": Mix.of(mean, 2)})(outputs, mixed)
    torch.testing.assert_close(one, two)


def test_classes_and_scores():
    draw = np.random.default_rng(2).normal
    student, teacher = draw(size=(4, 2)), draw(size=(4, 2))
    batch = {
        "gold": torch.tensor([[0], [1], [-1], [0]]),
        "counted": COUNTED,
        "passage_offsets": torch.tensor([[[0, 1]]] * 4),
        "targets": {"bert": {"class_logits": torch.tensor(teacher)}},
    }
    outputs = ClassOutputs(torch.tensor(student))
    for row, gold in ((0, 0), (1, 1)):
        teacher[row] = sorted(teacher[row], reverse=gold == 0)
    term = soft("kd_mse", student="classification", probability_shift=True)
    got, _ = build_objective([term])(outputs, batch)
    assert got.item() == pytest.approx(((student - teacher)[:3] ** 2 / 4).mean())

    batch["targets"]["bert"]["class_logits"] = torch.tensor(teacher)
    score = {"loss": "soft_score_mse", "from": "bert", "student": "classification"}
    r, s = (1 / (1 + np.exp(values[:, 0] - values[:, 1])) for values in (teacher, student))
    got, _ = build_objective([score])(outputs, batch)
    assert got.item() == pytest.approx(((r - s)[:3] ** 2).mean())
