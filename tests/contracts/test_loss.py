"""What every loss in the table promises. A new loss joins by one entry of `SAMPLES`."""

from dataclasses import dataclass, replace

import pytest
import torch

from pipeline.losses import LOSSES

ROWS, CLASSES, QUESTION = 5, 7, 3


@dataclass(frozen=True)
class Sample:
    """Arguments of a loss: what carries the gradient, the rest, the mask, and options."""

    student: torch.Tensor
    others: tuple
    mask: torch.Tensor
    options: dict

    def __call__(self, loss, **changes):
        return loss(self.student, *self.others, mask=self.mask, **self.options | changes)

    def row(self, index):
        part = slice(index, index + 1)
        return Sample(
            self.student[part], tuple(value[part] for value in self.others), self.mask[part], self.options
        )


def _ragged_mask(generator):
    lengths = torch.randint(2, CLASSES + 1, (ROWS,), generator=generator)
    return torch.arange(CLASSES) < lengths[:, None]


def _logits(generator, dtype):
    return torch.randn(ROWS, CLASSES, generator=generator, dtype=torch.float64).mul(3).to(dtype)


def _soft(generator, dtype):
    return Sample(
        _logits(generator, dtype), (_logits(generator, dtype),), _ragged_mask(generator), {"temperature": 2.0}
    )


def _labels(generator):
    return torch.randint(0, 2, (ROWS,), generator=generator)


def _gold(generator, dtype):
    return Sample(_logits(generator, dtype), (_labels(generator),), _ragged_mask(generator), {})


def _margin(generator, dtype):
    labels = (_labels(generator), _labels(generator))
    return Sample(_logits(generator, dtype), labels, _ragged_mask(generator), {})


def _attention(generator, dtype):
    shape = (ROWS, CLASSES, QUESTION)
    student, teacher = (
        torch.rand(shape, generator=generator, dtype=torch.float64).softmax(-1).to(dtype) for _ in range(2)
    )
    question = torch.arange(QUESTION) < torch.randint(1, QUESTION + 1, (ROWS, 1), generator=generator)
    mask = _ragged_mask(generator)[:, :, None] & question[:, None, :]
    return Sample(student, (teacher,), mask, {})


SAMPLES = {
    "answer_margin": _margin,
    "cross_entropy": _gold,
    "kd_ce": _soft,
    "kd_kl": _soft,
    "qa_attention_mse": _attention,
}

pytestmark = pytest.mark.parametrize("name", LOSSES.names())


def sample(name, dtype=torch.float32, seed=0):
    return SAMPLES[name](torch.Generator().manual_seed(seed), dtype)


def gradient(loss, made, **changes):
    student = made.student.detach().clone().requires_grad_()
    total, _ = replace(made, student=student)(loss, **changes)
    total.backward()
    return total.detach(), student.grad


def test_masked_positions_have_no_effect_and_no_gradient(name):
    loss, made = LOSSES.load(name), sample(name)
    total, grad = gradient(loss, made)
    assert not grad[~made.mask].any()
    noisy = made.student.masked_fill(~made.mask, 50.0)
    others = tuple(
        value.masked_fill(~made.mask, -50.0) if value.shape == made.mask.shape else value
        for value in made.others
    )
    changed, changed_grad = gradient(loss, replace(made, student=noisy, others=others))
    assert changed == total
    assert changed_grad.equal(grad)


def test_not_a_number_at_a_masked_position_is_not_read(name):
    loss, made = LOSSES.load(name), sample(name)
    total, grad = gradient(loss, replace(made, student=made.student.masked_fill(~made.mask, torch.nan)))
    assert total == gradient(loss, made)[0]
    assert grad.isfinite().all()


def test_padding_length_has_no_effect(name):
    loss, made = LOSSES.load(name), sample(name)

    def pad(value):
        pads = [0, 0] * (value.dim() - 2) + [0, 4]
        return torch.nn.functional.pad(value, pads) if value.dim() > 1 else value

    padded = Sample(pad(made.student), tuple(map(pad, made.others)), pad(made.mask), made.options)
    total, count = padded(loss)
    expected, expected_count = made(loss)
    torch.testing.assert_close(total, expected)
    assert count == expected_count


def test_a_batch_is_the_sum_of_its_rows(name):
    loss, made = LOSSES.load(name), sample(name)
    rows = [made.row(index)(loss) for index in range(ROWS)]
    total, count = made(loss)
    torch.testing.assert_close(total, torch.stack([part for part, _ in rows]).sum())
    assert count == sum(part for _, part in rows) == ROWS


def test_rows_that_do_not_count_add_nothing(name):
    loss, made = LOSSES.load(name), sample(name)
    counted = torch.tensor([True, False, True, False, False])
    total, count = made(loss, counted=counted)
    torch.testing.assert_close(total, made.row(0)(loss)[0] + made.row(2)(loss)[0])
    assert count == 2
    assert not gradient(loss, made, counted=counted)[1][~counted].any()


def test_the_gradient_is_right(name):
    loss, made = LOSSES.load(name), sample(name, torch.float64)

    def total(student):
        return replace(made, student=student)(loss)[0]

    assert torch.autograd.gradcheck(total, made.student.requires_grad_())


@pytest.mark.parametrize("scale", [1e4, 1e20])
def test_extreme_values_stay_finite(name, scale):
    loss, made = LOSSES.load(name), sample(name)
    factor = min(scale, 1e4) if name == "qa_attention_mse" else scale
    others = tuple(value * -factor if value.is_floating_point() else value for value in made.others)
    total, grad = gradient(loss, replace(made, student=made.student * factor, others=others))
    assert total.isfinite()
    assert grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(name, dtype):
    loss, made = LOSSES.load(name), sample(name, dtype)
    wide = replace(
        made,
        student=made.student.float(),
        others=tuple(value.float() if value.is_floating_point() else value for value in made.others),
    )
    total, grad = gradient(loss, made)
    expected, expected_grad = gradient(loss, wide)
    assert total.dtype == torch.float32
    assert total == expected
    torch.testing.assert_close(grad.float(), expected_grad, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("nothing", ["no row counts", "no position exists"])
def test_nothing_to_count_is_a_zero_that_keeps_the_graph(name, nothing):
    loss, made = LOSSES.load(name), sample(name)
    changes = {"counted": torch.zeros(ROWS, dtype=torch.bool)} if nothing == "no row counts" else {}
    empty = made if changes else replace(made, mask=torch.zeros_like(made.mask))
    student = empty.student.requires_grad_()
    total, count = empty(loss, **changes)
    assert total == 0
    assert count == 0
    total.backward()
    assert not student.grad.any()
