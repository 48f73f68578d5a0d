"""Binary cross-entropy against a teacher's soft targets, where classes do not exclude each other."""

from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from pipeline.losses.softening import Temperature, counted_rows, divided, summed


def kd_bce(
    student_logits: Float[Tensor, "*rows classes"],
    teacher_logits: Float[Tensor, "*rows classes"],
    *,
    mask: Bool[Tensor, "*rows classes"],
    counted: Bool[Tensor, "*rows"] | None = None,
    temperature: Temperature = 1.0,
    mass: Float[Tensor, "*rows"] | None = None,
) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
    """Mean over a row's classes of the cross-entropy of sigmoid(s / T) against sigmoid(z / T), in nats.

    The multi-label form of Hinton et al. 2015, arXiv:1503.02531, sec. 2: every class is a softmax of two.
    Differs: no T^2 factor; the term applies it.
    Note: no divergence; equals the teacher's entropy when both agree.

    Args:
        student_logits: Raw logits.
        teacher_logits: Raw logits of the same classes.
        mask: True at a class that exists.
        counted: True at a row that counts; None counts all that have a class.
        temperature: Divides both logits; one for all rows, or one a row.
        mass: Scales a row: the share of the teacher that `teacher_logits` still stands for.

    Returns:
        The sum over counted rows, and their number.
    """
    rows = counted_rows(mask, counted)
    student, teacher = (
        divided(logits.masked_fill(~mask, 0.0), temperature) for logits in (student_logits, teacher_logits)
    )
    losses = binary_cross_entropy_with_logits(student, teacher.sigmoid(), reduction="none") * mask
    losses = losses.sum(dim=-1) / mask.sum(dim=-1).clamp(min=1)
    return summed(losses, rows, mass)
