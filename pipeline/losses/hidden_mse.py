"""Squared distance to a teacher's hidden states."""

from jaxtyping import Bool, Float, Int
from torch import Tensor

from pipeline.losses.precision import widen


def hidden_mse(
    student_hidden: Float[Tensor, "batch length width"],
    teacher_hidden: Float[Tensor, "batch length width"],
    *,
    mask: Bool[Tensor, "batch length"],
) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
    """Mean over a token's features of (S - Z)^2.

    Source: TextBrewer's `hid_mse_loss`; Jiao et al. 2020, arXiv:1909.10351, eq. 8.

    Args:
        student_hidden: Hidden states S, of the teacher's width.
        teacher_hidden: Hidden states Z, on the student's tokens.
        mask: True at a token that counts.

    Returns:
        The sum over counted tokens, and their number.
    """
    distance = (widen(student_hidden) - widen(teacher_hidden)).masked_fill(~mask.unsqueeze(-1), 0.0)
    return distance.square().mean(dim=-1).sum(), mask.sum()
