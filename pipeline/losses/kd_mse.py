"""Squared distance to a teacher's logits."""

from jaxtyping import Bool, Float, Int
from torch import Tensor

from pipeline.losses.softening import Temperature, counted_rows, divided, summed


def kd_mse(
    student_logits: Float[Tensor, "*rows classes"],
    teacher_logits: Float[Tensor, "*rows classes"],
    *,
    mask: Bool[Tensor, "*rows classes"],
    counted: Bool[Tensor, "*rows"] | None = None,
    temperature: Temperature = 1.0,
    mass: Float[Tensor, "*rows"] | None = None,
) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
    """Mean over a row's classes of (s / T - z / T)^2, with s and z the student's and teacher's logits.

    Source: Tang et al. 2019, arXiv:1903.12136, sec. 3.2; TextBrewer's `kd_mse_loss`.
    Note: depends on where a teacher's logits are centred, where `kd_ce` and `kd_kl` do not. Classes of which
    the teacher says nothing have no part in the mean.

    Args:
        student_logits: Raw logits.
        teacher_logits: Raw logits of the same classes; minus infinity at one of which it says nothing.
        mask: True at a class that exists.
        counted: True at a row that counts; None counts all that have a class.
        temperature: Divides both logits; one for all rows, or one a row.
        mass: Scales a row: the share of the teacher that `teacher_logits` still stands for.

    Returns:
        The sum over counted rows, and their number.
    """
    rows = counted_rows(mask, counted)
    known = mask & ~teacher_logits.isneginf()
    student, teacher = (
        divided(logits.masked_fill(~known, 0.0), temperature) for logits in (student_logits, teacher_logits)
    )
    losses = (student - teacher).square().sum(dim=-1) / known.sum(dim=-1).clamp(min=1)
    return summed(losses, rows, mass)
