"""Squared distance to a teacher's attention scores, a head."""

from jaxtyping import Bool, Float, Int
from torch import Tensor

from pipeline.losses.precision import widen


def attention_mse(
    student_scores: Float[Tensor, "batch heads length length"],
    teacher_scores: Float[Tensor, "batch heads length length"],
    *,
    mask: Bool[Tensor, "batch length"],
) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
    """Mean over heads of (A_S - A_Z)^2 of a pair of tokens, on scores before the softmax.

    Source: Jiao et al. 2020, TinyBERT, arXiv:1909.10351, eq. 7; TextBrewer's `att_mse_loss`.

    Args:
        student_scores: Scores A_S.
        teacher_scores: Scores A_Z of as many heads, on the same tokens.
        mask: True at a token that counts.

    Returns:
        The sum over pairs of counted tokens of a row, and the number of pairs.
    """
    both = mask.unsqueeze(1) & mask.unsqueeze(2)
    distance = (widen(student_scores) - widen(teacher_scores)).masked_fill(~both.unsqueeze(1), 0.0)
    return distance.square().mean(dim=1).sum(), both.sum()
