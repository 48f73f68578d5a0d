"""What every loss in the table promises. A new loss joins by one entry of `SAMPLES`."""

from dataclasses import dataclass, field, replace

import pytest
import torch
from torch.distributions import Bernoulli, Categorical
from torch.nn.functional import normalize, pad

from pipeline.losses import LOSSES

ROWS, LENGTH, WIDTH, HEADS, QUESTION = 5, 7, 6, 2, 3


@dataclass(frozen=True)
class Sample:
    """Arguments of a loss: what carries the gradient, the rest, and those given by name.

    `unread` says which values of the student, and of what stands beside it, no loss may look at. An axis of
    tokens, or of classes, is `LENGTH` long. `equal` is the sum where student and teacher agree; what the
    teacher then says is `agreeing`, or the same as the student.
    """

    student: torch.Tensor
    others: tuple
    named: dict
    unread: torch.Tensor
    others_unread: tuple = ()
    equal: float | None = None
    largest: float = 1e4
    agreeing: tuple = field(default=())

    def __call__(self, loss, **changes):
        return loss(self.student, *self.others, **self.named | changes)

    def mapped(self, change):
        """`change` applied to every tensor."""
        named = {
            name: change(value) if isinstance(value, torch.Tensor) else value
            for name, value in self.named.items()
        }
        return replace(
            self,
            student=change(self.student),
            others=tuple(map(change, self.others)),
            named=named,
            unread=change(self.unread),
        )

    def row(self, index):
        return self.mapped(lambda value: value[index : index + 1])

    def without(self, rows):
        """The same with only some rows counted."""
        if "mask" not in self.named:
            return replace(self, named=self.named | {"counted": rows})
        mask = self.named["mask"]
        return replace(self, named=self.named | {"mask": mask & rows.view(-1, *[1] * (mask.dim() - 1))})

    def wide(self):
        """The same in float32."""
        return self.mapped(lambda value: value.float() if value.is_floating_point() else value)


def _mask(generator):
    lengths = torch.randint(2, LENGTH + 1, (ROWS,), generator=generator)
    return torch.arange(LENGTH) < lengths[:, None]


def _normal(generator, dtype, *shape):
    return torch.randn(ROWS, *shape, generator=generator, dtype=torch.float64).mul(3).to(dtype)


def _labels(generator):
    return torch.randint(0, 2, (ROWS,), generator=generator)


def _logits(generator, dtype, largest=1e20, **known):
    student, teacher, mask = (
        _normal(generator, dtype, LENGTH),
        _normal(generator, dtype, LENGTH),
        _mask(generator),
    )
    named = {"mask": mask, "temperature": 2.0}
    return Sample(student, (teacher,), named, ~mask, (~mask,), largest=largest, **known)


def _entropy_of(kind):
    """Logits whose known value is the entropy of `kind`, one distribution a row."""

    def made(generator, dtype):
        made = _logits(generator, dtype)
        rows = [row[mask].double() / 2 for row, mask in zip(made.student, made.named["mask"], strict=True)]
        return replace(made, equal=sum(kind(logits=row).entropy().mean().item() for row in rows))

    return made


def _gold(generator, dtype):
    mask = _mask(generator)
    return Sample(
        _normal(generator, dtype, LENGTH), (_labels(generator),), {"mask": mask}, ~mask, largest=1e20
    )


def _decisions(generator, dtype):
    mask = _mask(generator)
    right = torch.randint(0, 2, (ROWS, LENGTH), generator=generator).to(dtype)
    student = _normal(generator, dtype, LENGTH)
    # Labels beyond 1 are none, and multiply what is large already.
    return Sample(student, (right,), {"mask": mask}, ~mask, (~mask,), largest=1e9)


def _number(generator, dtype):
    student, right = _normal(generator, dtype, 1), _normal(generator, dtype)
    mask = torch.ones(ROWS, 1, dtype=torch.bool)
    return Sample(student, (right,), {"mask": mask}, ~mask)


def _margin(generator, dtype):
    made = _gold(generator, dtype)
    return replace(made, others=(*made.others, _labels(generator)))


def _qa_attention(generator, dtype):
    shape = (ROWS, LENGTH, QUESTION)
    student, teacher = (
        torch.rand(shape, generator=generator, dtype=torch.float64).softmax(-1).to(dtype) for _ in range(2)
    )
    question = torch.arange(QUESTION) < torch.randint(1, QUESTION + 1, (ROWS, 1), generator=generator)
    mask = _mask(generator)[:, :, None] & question[:, None, :]
    return Sample(student, (teacher,), {"mask": mask}, ~mask, (~mask,), equal=0.0)


def _score(generator, dtype):
    student, teacher = _normal(generator, dtype, 1), _normal(generator, dtype, 2)
    alike = torch.stack([torch.zeros(ROWS, dtype=dtype), student[:, 0]], dim=1)
    unread = torch.zeros_like(student, dtype=torch.bool)
    return Sample(student, (teacher,), {}, unread, equal=0.0, agreeing=(alike,), largest=1e20)


def _hidden(reduced, *, keys=None, equal=0.0):
    """A student's hidden states, and what `reduced` makes of a teacher's."""

    def made(generator, dtype):
        mask = _mask(generator)
        student, teacher = (_normal(generator, dtype, LENGTH, WIDTH) for _ in range(2))
        beyond = (~mask).unsqueeze(-1).expand_as(student)
        others_unread = (keys(mask),) if keys else ()
        return Sample(
            student,
            (reduced(teacher, mask).to(dtype),),
            {"mask": mask},
            beyond,
            others_unread,
            equal=equal,
            agreeing=(reduced(student.double(), mask).to(dtype),),
        )

    return made


def _first(generator, dtype):
    student, teacher = (_normal(generator, dtype, LENGTH, WIDTH) for _ in range(2))
    unread = torch.ones_like(student, dtype=torch.bool)
    unread[:, 0] = False
    first, own = (normalize(states[:, 0].double(), dim=-1).to(dtype) for states in (teacher, student))
    return Sample(student, (first,), {}, unread, equal=0.0, agreeing=(own,))


def _sentence(generator, dtype):
    student, teacher = (_normal(generator, dtype, WIDTH) for _ in range(2))
    return Sample(student, (teacher,), {}, torch.zeros_like(student, dtype=torch.bool), equal=0.0)


def _attention(reduced, *, largest=1e4, equal=lambda scores, mask: 0.0):
    """A student's attention scores, and what `reduced` makes of a teacher's."""

    def made(generator, dtype):
        mask = _mask(generator)
        student, teacher = (_normal(generator, dtype, HEADS, LENGTH, LENGTH) for _ in range(2))
        pairs = _pairs(mask)
        every = pairs.unsqueeze(1).expand_as(student)
        given = reduced(teacher.double()).to(dtype)
        return Sample(
            student,
            (given,),
            {"mask": mask},
            ~every,
            (~(every if given.dim() == 4 else pairs),),
            equal=equal(student.double(), mask),
            largest=largest,
            agreeing=(reduced(student.double()).to(dtype),),
        )

    return made


def _pairs(mask):
    return mask.unsqueeze(1) & mask.unsqueeze(2)


def _tokens(mask):
    return (~mask).unsqueeze(-1).expand(-1, -1, WIDTH)


def _gram(states, mask):
    return states @ states.transpose(1, 2) / WIDTH


def _fsp(states, mask):
    kept = states * mask.unsqueeze(-1)
    return kept.transpose(1, 2) @ kept / mask.sum(1)[:, None, None]


def _entropies(scores, mask):
    """The mean over heads of each counted token's entropy along the counted tokens, summed over tokens."""
    rows = [row[:, kept][:, :, kept] for row, kept in zip(scores, mask, strict=True)]
    return sum(Categorical(logits=row).entropy().mean(0).sum().item() for row in rows)


SAMPLES = {
    "answer_margin": _margin,
    "attention_ce": _attention(lambda scores: scores, largest=1e20, equal=_entropies),
    "attention_ce_mean": _attention(
        lambda scores: scores.mean(1),
        largest=1e20,
        equal=lambda scores, mask: _entropies(scores.mean(1, keepdim=True), mask),
    ),
    "attention_mse": _attention(lambda scores: scores),
    "attention_mse_sum": _attention(lambda scores: scores.sum(1)),
    "binary_cross_entropy": _decisions,
    "cos": _hidden(lambda states, mask: normalize(states.double(), dim=-1), keys=_tokens),
    "cross_entropy": _gold,
    "fsp": _hidden(_fsp),
    "hidden_mse": _hidden(lambda states, mask: states, keys=_tokens),
    "kd_bce": _entropy_of(Bernoulli),
    "kd_ce": _entropy_of(Categorical),
    "kd_kl": lambda generator, dtype: _logits(generator, dtype, equal=0.0),
    "kd_mse": lambda generator, dtype: _logits(generator, dtype, largest=1e4, equal=0.0),
    "nst": _hidden(_gram, keys=lambda mask: ~_pairs(mask)),
    "pkd": _first,
    "qa_attention_mse": _qa_attention,
    "sentence_cos": _sentence,
    "soft_score_mse": _score,
    "squared_error": _number,
}

pytestmark = pytest.mark.parametrize("name", LOSSES.names())


def sample(name, dtype=torch.float32, seed=0):
    return SAMPLES[name](torch.Generator().manual_seed(seed), dtype)


def gradient(loss, made, **changes):
    student = made.student.detach().clone().requires_grad_()
    total, _ = replace(made, student=student)(loss, **changes)
    total.backward()
    return total.detach(), student.grad


def _filled(made, value, others_value):
    others = tuple(
        other.masked_fill(unread, others_value)
        for other, unread in zip(made.others, made.others_unread, strict=False)
    )
    return replace(
        made,
        student=made.student.masked_fill(made.unread, value),
        others=others + made.others[len(others) :],
    )


def test_equal_inputs_give_the_known_value(name):
    made = sample(name, torch.float64)
    if made.equal is None:
        pytest.skip("a loss against labels, which are equal to nothing: see the golden values")
    total, count = replace(made, others=made.agreeing or (made.student,))(LOSSES.load(name))
    assert total.item() == pytest.approx(made.equal, abs=1e-9)
    assert count > 0


def test_masked_positions_have_no_effect_and_no_gradient(name):
    loss, made = LOSSES.load(name), sample(name)
    total, grad = gradient(loss, made)
    assert not grad[made.unread].any()
    changed, changed_grad = gradient(loss, _filled(made, 50.0, -50.0))
    assert changed == total
    assert changed_grad.equal(grad)


def test_not_a_number_at_a_masked_position_is_not_read(name):
    loss, made = LOSSES.load(name), sample(name)
    total, grad = gradient(loss, _filled(made, torch.nan, torch.nan))
    assert total == gradient(loss, made)[0]
    assert grad.isfinite().all()


def test_padding_length_has_no_effect(name):
    loss, made = LOSSES.load(name), sample(name)

    def padded(value):
        pads = [(0, 4 if size == LENGTH else 0) for size in reversed(value.shape)]
        return pad(value, [side for pair in pads for side in pair])

    total, count = made.mapped(padded)(loss)
    expected, expected_count = made(loss)
    torch.testing.assert_close(total, expected)
    assert count == expected_count


def test_a_batch_is_the_sum_of_its_rows(name):
    loss, made = LOSSES.load(name), sample(name)
    rows = [made.row(index)(loss) for index in range(ROWS)]
    total, count = made(loss)
    torch.testing.assert_close(total, torch.stack([part for part, _ in rows]).sum())
    assert count == sum(part for _, part in rows)
    assert all(part > 0 for _, part in rows)


def test_rows_that_do_not_count_add_nothing(name):
    loss, made = LOSSES.load(name), sample(name)
    counted = torch.tensor([True, False, True, False, False])
    alone = made.without(counted)
    total, count = alone(loss)
    parts = [made.row(index)(loss) for index in (0, 2)]
    torch.testing.assert_close(total, parts[0][0] + parts[1][0])
    assert count == parts[0][1] + parts[1][1]
    assert not gradient(loss, alone)[1][~counted].any()


def test_the_gradient_is_right(name):
    loss, made = LOSSES.load(name), sample(name, torch.float64)

    def total(student):
        return replace(made, student=student)(loss)[0]

    assert torch.autograd.gradcheck(total, made.student.requires_grad_())


@pytest.mark.parametrize("scale", [1e4, 1e20])
def test_extreme_values_stay_finite(name, scale):
    loss, made = LOSSES.load(name), sample(name)
    # What is squared overflows sooner than logits do.
    factor = min(scale, made.largest)
    others = tuple(value * -factor if value.is_floating_point() else value for value in made.others)
    total, grad = gradient(loss, replace(made, student=made.student * factor, others=others))
    assert total.isfinite()
    assert grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(name, dtype):
    loss, made = LOSSES.load(name), sample(name, dtype)
    total, grad = gradient(loss, made)
    expected, expected_grad = gradient(loss, made.wide())
    assert total.dtype == torch.float32
    assert total == expected
    torch.testing.assert_close(grad.float(), expected_grad, rtol=0.02, atol=0.02)


def test_mixed_precision_rounds_nothing(name):
    loss, made = LOSSES.load(name), sample(name)
    expected, expected_grad = gradient(loss, made)
    student = made.student.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        total, _ = made(loss)
    total.backward()
    assert total == expected
    assert student.grad.equal(expected_grad)


@pytest.mark.parametrize("nothing", ["no row counts", "no position exists"])
def test_nothing_to_count_is_a_zero_that_keeps_the_graph(name, nothing):
    loss, made = LOSSES.load(name), sample(name)
    if nothing == "no position exists" and "mask" in made.named:
        empty = replace(made, named=made.named | {"mask": torch.zeros_like(made.named["mask"])})
    else:
        empty = made.without(torch.zeros(ROWS, dtype=torch.bool))
    student = empty.student.requires_grad_()
    total, count = empty(loss)
    assert total == 0
    assert count == 0
    total.backward()
    assert not student.grad.any()
