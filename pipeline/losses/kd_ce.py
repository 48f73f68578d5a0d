"""Cross-entropy against a teacher's soft targets."""

from jaxtyping import Bool, Float, Int
from torch import Tensor

from pipeline.losses.softening import Temperature, counted_rows, soft_targets, soften, summed


def kd_ce(
    student_logits: Float[Tensor, "*rows classes"],
    teacher_logits: Float[Tensor, "*rows classes"],
    *,
    mask: Bool[Tensor, "*rows classes"],
    counted: Bool[Tensor, "*rows"] | None = None,
    temperature: Temperature = 1.0,
    mass: Float[Tensor, "*rows"] | None = None,
) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
    """Cross-entropy H(teacher, student) in nats, both softened by `temperature`.

    Source: Hinton et al. 2015, arXiv:1503.02531, sec. 2; TextBrewer's `kd_ce_loss`.
    Differs: no T^2 factor; the term applies it.
    Note: no divergence; equals the teacher's entropy when both agree. `kd_kl` has the same gradient.

    Args:
        student_logits: Raw logits.
        teacher_logits: Raw logits; minus infinity at a class without mass.
        mask: True at a class that exists.
        counted: True at a row that counts; None counts all that have a class.
        temperature: Divides both logits; one for all rows, or one a row.
        mass: The share of the teacher's mass that `teacher_logits` still stands for; scales the row.

    Returns:
        The sum over counted rows, and their number.
    """
    rows = counted_rows(mask, counted)
    probs, _ = soft_targets(teacher_logits, mask, temperature=temperature)
    losses = -(probs * soften(student_logits, mask, temperature=temperature)).sum(dim=-1)
    return summed(losses, rows, mass)
