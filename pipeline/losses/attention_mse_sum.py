"""Squared distance to a teacher's attention scores, summed over heads."""

from jaxtyping import Bool, Float, Int
from torch import Tensor

from pipeline.losses.precision import widen


def attention_mse_sum(
    student_scores: Float[Tensor, "batch heads length length"],
    teacher_sum: Float[Tensor, "batch length length"],
    *,
    mask: Bool[Tensor, "batch length"],
) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
    """(sum of A_S over heads - sum of A_Z)^2 of a pair of tokens, on scores before the softmax.

    Source: TextBrewer's `att_mse_sum_loss`. Numbers of heads may differ.

    Args:
        student_scores: Scores A_S.
        teacher_sum: Scores A_Z summed over the teacher's heads, on the same tokens.
        mask: True at a token that counts.

    Returns:
        The sum over pairs of counted tokens of a row, and the number of pairs.
    """
    both = mask.unsqueeze(1) & mask.unsqueeze(2)
    distance = widen(student_scores).sum(dim=1) - widen(teacher_sum)
    return distance.masked_fill(~both, 0.0).square().sum(), both.sum()
