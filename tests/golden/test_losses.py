"""Values worked with numpy from the papers' formulas, row by row and with no mask but a slice."""

import numpy as np
import pytest
import torch

from pipeline.losses.answer_margin import answer_margin
from pipeline.losses.cross_entropy import cross_entropy
from pipeline.losses.kd_ce import kd_ce
from pipeline.losses.kd_kl import kd_kl
from pipeline.losses.qa_attention_mse import qa_attention_mse

STUDENT = np.array([[1.0, 2.0, -1.0, 0.5], [0.0, 3.0, 1.5, 9.9], [2.0, 2.0, 2.0, 2.0]])
TEACHER = np.array([[0.5, 3.0, -2.0, 0.0], [4.0, -1.0, 1.0, 9.9], [1.0, 2.0, 3.0, 4.0]])
LENGTHS = [4, 3, 4]
MASK = torch.tensor([[True] * length + [False] * (4 - length) for length in LENGTHS])


def softmax(values):
    return np.exp(values) / np.exp(values).sum()


def rows():
    return [(student[:n], teacher[:n]) for student, teacher, n in zip(STUDENT, TEACHER, LENGTHS, strict=True)]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 8.0])
def test_soft_targets(temperature):
    cross_entropies, divergences = 0.0, 0.0
    for student, teacher in rows():
        p, q = softmax(student / temperature), softmax(teacher / temperature)
        cross_entropies -= (q * np.log(p)).sum()
        divergences += (q * np.log(q / p)).sum()
    student, teacher = torch.tensor(STUDENT), torch.tensor(TEACHER)
    total, count = kd_ce(student, teacher, mask=MASK, temperature=temperature)
    assert total.item() == pytest.approx(cross_entropies, rel=1e-12)
    assert count == 3
    total, count = kd_kl(student, teacher, mask=MASK, temperature=temperature)
    assert total.item() == pytest.approx(divergences, rel=1e-12)
    assert count == 3


def test_equal_readers():
    logits = torch.tensor(TEACHER)
    entropies = sum(-(q * np.log(q)).sum() for q in (softmax(teacher) for _, teacher in rows()))
    assert kd_kl(logits, logits, mask=MASK)[0].abs() < 1e-12
    assert kd_ce(logits, logits, mask=MASK)[0].item() == pytest.approx(entropies)


def test_a_class_without_mass():
    teacher = torch.tensor([[0.0, -torch.inf, 0.0], [-torch.inf] * 3])
    student = torch.tensor([[1.0, 5.0, 2.0], [1.0, 2.0, 3.0]], requires_grad=True)
    log_p = np.log(softmax(np.array([1.0, 5.0, 2.0])))
    mask = torch.ones(2, 3, dtype=torch.bool)
    total, count = kd_ce(student, teacher, mask=mask)
    assert total.item() == pytest.approx(-(log_p[0] + log_p[2]) / 2)
    assert count == 2
    divergence, _ = kd_kl(student, teacher, mask=mask)
    assert divergence.item() == pytest.approx(np.log(0.5) - (log_p[0] + log_p[2]) / 2)
    divergence.backward()
    assert student.grad.isfinite().all()
    assert not student.grad[1].any()


@pytest.mark.parametrize("loss", [kd_ce, kd_kl])
def test_mass_scales_a_row(loss):
    student, teacher = torch.tensor(STUDENT), torch.tensor(TEACHER)
    mass = torch.tensor([1.0, 0.25, 0.0], dtype=torch.float64)
    parts = [loss(student[i : i + 1], teacher[i : i + 1], mask=MASK[i : i + 1])[0] for i in range(3)]
    total, count = loss(student, teacher, mask=MASK, mass=mass)
    assert total.item() == pytest.approx((parts[0] + 0.25 * parts[1]).item())
    assert count == 3


def test_cross_entropy():
    gold = torch.tensor([1, -1, 3])
    expected = -np.log(softmax(STUDENT[0]))[1] - np.log(0.25)
    total, count = cross_entropy(torch.tensor(STUDENT), gold, mask=MASK)
    assert total.item() == pytest.approx(expected)
    assert count == 2


def test_answer_margin():
    # Row 0: 1 - 2.0 + 1.0 = 0; row 1: 1 - 0.0 + 3.0 = 4; row 2: no confusing answer.
    total, count = answer_margin(
        torch.tensor(STUDENT), torch.tensor([1, 0, 2]), torch.tensor([0, 1, -1]), mask=MASK
    )
    assert total.item() == pytest.approx(4.0)
    assert count == 2


def test_qa_attention_mse():
    student = torch.tensor([[[0.5, 0.5], [1.0, 0.0]], [[0.3, 0.7], [0.0, 0.0]]])
    teacher = torch.tensor([[[0.1, 0.9], [0.6, 0.4]], [[0.3, 0.7], [0.9, 0.1]]])
    mask = torch.tensor([[[True, True], [True, True]], [[True, True], [False, False]]])
    # Row 0: half of 0.16 + 0.16 + 0.16 + 0.16; row 1: equal where it counts.
    total, count = qa_attention_mse(student, teacher, mask=mask)
    assert total.item() == pytest.approx(0.32)
    assert count == 2
