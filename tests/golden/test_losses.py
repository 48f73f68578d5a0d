"""Values worked with numpy from the papers' formulas, row by row and with no mask but a slice."""

import numpy as np
import pytest
import torch

from pipeline.losses.answer_margin import answer_margin
from pipeline.losses.attention_ce import attention_ce
from pipeline.losses.attention_ce_mean import attention_ce_mean
from pipeline.losses.attention_mse import attention_mse
from pipeline.losses.attention_mse_sum import attention_mse_sum
from pipeline.losses.binary_cross_entropy import binary_cross_entropy
from pipeline.losses.cos import cos
from pipeline.losses.cross_entropy import cross_entropy
from pipeline.losses.fsp import fsp
from pipeline.losses.hidden_mse import hidden_mse
from pipeline.losses.kd_bce import kd_bce
from pipeline.losses.kd_ce import kd_ce
from pipeline.losses.kd_kl import kd_kl
from pipeline.losses.kd_mse import kd_mse
from pipeline.losses.nst import nst
from pipeline.losses.pkd import pkd
from pipeline.losses.qa_attention_mse import qa_attention_mse
from pipeline.losses.sentence_cos import sentence_cos
from pipeline.losses.soft_score_mse import soft_score_mse
from pipeline.losses.squared_error import squared_error

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


@pytest.mark.parametrize("loss", [kd_ce, kd_kl, kd_mse, kd_bce])
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


@pytest.mark.parametrize("temperature", [0.5, 1.0, 8.0])
def test_logits_one_by_one(temperature):
    squares, entropies = 0.0, 0.0
    for student, teacher in rows():
        squares += ((student - teacher) ** 2).mean() / temperature**2
        p, q = (1 / (1 + np.exp(-values / temperature)) for values in (student, teacher))
        entropies -= (q * np.log(p) + (1 - q) * np.log(1 - p)).mean()
    student, teacher = torch.tensor(STUDENT), torch.tensor(TEACHER)
    total, count = kd_mse(student, teacher, mask=MASK, temperature=temperature)
    assert total.item() == pytest.approx(squares, rel=1e-12)
    assert count == 3
    total, count = kd_bce(student, teacher, mask=MASK, temperature=temperature)
    assert total.item() == pytest.approx(entropies, rel=1e-12)
    assert count == 3


@pytest.mark.parametrize("loss", [kd_ce, kd_kl, kd_mse, kd_bce])
def test_a_temperature_a_row(loss):
    student, teacher = torch.tensor(STUDENT), torch.tensor(TEACHER)
    temperatures = [0.5, 2.0, 8.0]
    parts = [
        loss(student[i : i + 1], teacher[i : i + 1], mask=MASK[i : i + 1], temperature=temperatures[i])[0]
        for i in range(3)
    ]
    total, _ = loss(student, teacher, mask=MASK, temperature=torch.tensor(temperatures))
    assert total.item() == pytest.approx(sum(parts).item())


def test_soft_score_mse():
    # Teacher of two logits, student of one; the last row does not count.
    student, teacher = np.array([0.3, -1.0, 4.0]), np.array([[1.0, 2.0], [0.5, -0.5], [0.0, 0.0]])
    scores = [softmax(row)[1] for row in teacher]
    expected = sum((scores[i] - 1 / (1 + np.exp(-student[i]))) ** 2 for i in range(2))
    counted = torch.tensor([True, True, False])
    total, count = soft_score_mse(torch.tensor(student)[:, None], torch.tensor(teacher), counted=counted)
    assert total.item() == pytest.approx(expected, rel=1e-12)
    assert count == 2
    # Both of one logit.
    total, _ = soft_score_mse(torch.tensor([[0.0]]), torch.tensor([[np.log(3.0)]]))
    assert total.item() == pytest.approx((0.5 - 0.75) ** 2)


# The states of two layers of student and teacher, two rows of five tokens at most, and what is made of them.
_STATES = np.random.default_rng(7).normal(size=(4, 2, 5, 6))
_TOKENS = [5, 3]
TOKEN_MASK = torch.arange(5) < torch.tensor(_TOKENS)[:, None]


def states():
    """Each row's states without padding: two layers of the student, then two of the teacher."""
    return [tuple(layer[row, :n] for layer in _STATES) for row, n in enumerate(_TOKENS)]


def padded(values, shape):
    """Values of rows, each with something that must not be read behind it."""
    out = np.full((len(values), *shape), 77.0)
    for row, value in enumerate(values):
        out[row][tuple(slice(size) for size in value.shape)] = value
    return torch.tensor(out)


STUDENT_STATES, OTHER_STATES = (torch.tensor(_STATES[layer]) for layer in (0, 1))


def test_hidden_mse():
    expected = sum(((s - z) ** 2).mean(axis=1).sum() for s, _, z, _ in states())
    teacher = padded([z for _, _, z, _ in states()], (5, 6))
    total, count = hidden_mse(STUDENT_STATES, teacher, mask=TOKEN_MASK)
    assert total.item() == pytest.approx(expected, rel=1e-12)
    assert count == 8


def test_cos():
    expected, units = 0.0, []
    for student, _, teacher, _ in states():
        for s, z in zip(student, teacher, strict=True):
            expected += 1 - s @ z / np.sqrt((s @ s) * (z @ z))
        units.append(teacher / np.linalg.norm(teacher, axis=1, keepdims=True))
    total, count = cos(STUDENT_STATES, padded(units, (5, 6)), mask=TOKEN_MASK)
    assert total.item() == pytest.approx(expected, rel=1e-12)
    assert count == 8


def test_pkd():
    expected, firsts = 0.0, []
    for student, _, teacher, _ in states():
        firsts.append(teacher[0] / np.sqrt(teacher[0] @ teacher[0]))
        expected += np.sum((student[0] / np.sqrt(student[0] @ student[0]) - firsts[-1]) ** 2)
    total, count = pkd(STUDENT_STATES, torch.tensor(np.array(firsts)))
    assert total.item() == pytest.approx(expected, rel=1e-12)
    assert count == 2


@pytest.mark.parametrize("same", [True, False])
def test_nst(same):
    expected, grams = 0.0, []
    for x, y, teacher_x, teacher_y in states():
        y, teacher_y = (x, teacher_x) if same else (y, teacher_y)
        grams.append(np.einsum("id,jd->ij", teacher_x, teacher_y) / 6)
        expected += ((np.einsum("id,jd->ij", x, y) / 6 - grams[-1]) ** 2).sum()
    other = None if same else OTHER_STATES
    total, count = nst(STUDENT_STATES, padded(grams, (5, 5)), mask=TOKEN_MASK, student_other=other)
    assert total.item() == pytest.approx(expected, rel=1e-12)
    assert count == 25 + 9


@pytest.mark.parametrize("same", [True, False])
def test_fsp(same):
    expected, flows = 0.0, []
    for x, y, teacher_x, teacher_y in states():
        y, teacher_y = (x, teacher_x) if same else (y, teacher_y)
        flows.append(np.einsum("na,nb->ab", teacher_x, teacher_y) / len(x))
        expected += ((np.einsum("na,nb->ab", x, y) / len(x) - flows[-1]) ** 2).mean()
    other = None if same else OTHER_STATES
    total, count = fsp(STUDENT_STATES, torch.tensor(np.array(flows)), mask=TOKEN_MASK, student_other=other)
    assert total.item() == pytest.approx(expected, rel=1e-12)
    assert count == 2


def test_sentence_cos():
    pairs = [(s[0], z[0]) for s, _, z, _ in states()]
    expected = sum((1 - s @ z / np.sqrt((s @ s) * (z @ z))) / 2 for s, z in pairs)
    student, teacher = (torch.tensor(np.array(vectors)) for vectors in zip(*pairs, strict=True))
    total, count = sentence_cos(student, teacher)
    assert total.item() == pytest.approx(expected, rel=1e-12)
    assert count == 2


_SCORES = np.random.default_rng(8).normal(size=(2, 2, 3, 5, 5)) * 2
STUDENT_SCORES = torch.tensor(_SCORES[0])


def scores():
    """Each row's scores of three heads, student's and teacher's, without padding."""
    return [(_SCORES[0, row, :, :n, :n], _SCORES[1, row, :, :n, :n]) for row, n in enumerate(_TOKENS)]


def test_attention_a_head():
    squares, entropies = 0.0, 0.0
    for student, teacher in scores():
        squares += ((student - teacher) ** 2).mean(axis=0).sum()
        for head in range(3):
            for of_student, of_teacher in zip(student[head], teacher[head], strict=True):
                entropies -= (softmax(of_teacher) * np.log(softmax(of_student))).sum() / 3
    teacher = padded([z for _, z in scores()], (3, 5, 5))
    total, count = attention_mse(STUDENT_SCORES, teacher, mask=TOKEN_MASK)
    assert total.item() == pytest.approx(squares, rel=1e-12)
    assert count == 25 + 9
    total, count = attention_ce(STUDENT_SCORES, teacher, mask=TOKEN_MASK)
    assert total.item() == pytest.approx(entropies, rel=1e-12)
    assert count == 8


def test_attention_of_all_heads():
    squares, entropies = 0.0, 0.0
    for student, teacher in scores():
        squares += ((student.sum(axis=0) - teacher.sum(axis=0)) ** 2).sum()
        for of_student, of_teacher in zip(student.mean(axis=0), teacher.mean(axis=0), strict=True):
            entropies -= (softmax(of_teacher) * np.log(softmax(of_student))).sum()
    sums, means = (padded([kind(z, axis=0) for _, z in scores()], (5, 5)) for kind in (np.sum, np.mean))
    total, count = attention_mse_sum(STUDENT_SCORES, sums, mask=TOKEN_MASK)
    assert total.item() == pytest.approx(squares, rel=1e-12)
    assert count == 25 + 9
    total, count = attention_ce_mean(STUDENT_SCORES, means, mask=TOKEN_MASK)
    assert total.item() == pytest.approx(entropies, rel=1e-12)
    assert count == 8


def test_gold_decisions_and_numbers():
    right = np.array([[1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 1.0, np.nan], [np.nan] * 4])
    expected = 0.0
    for student, gold, n in zip(STUDENT[:2], right[:2], LENGTHS[:2], strict=True):
        p = 1 / (1 + np.exp(-student[:n]))
        expected -= (gold[:n] * np.log(p) + (1 - gold[:n]) * np.log(1 - p)).mean()
    total, count = binary_cross_entropy(torch.tensor(STUDENT), torch.tensor(right), mask=MASK)
    assert total.item() == pytest.approx(expected, rel=1e-12)
    assert count == 2

    numbers = torch.tensor([3.0, np.nan, -1.5], dtype=torch.float64)
    total, count = squared_error(torch.tensor(STUDENT[:, :1]), numbers, mask=MASK[:, :1])
    assert total.item() == pytest.approx((1.0 - 3.0) ** 2 + (2.0 + 1.5) ** 2, rel=1e-12)
    assert count == 2
