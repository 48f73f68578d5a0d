"""Cross-entropy against a teacher's attention, scores averaged over heads."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pipeline.losses.precision import widen
from pipeline.losses.softening import soft_targets, soften


def attention_ce_mean(
    student_scores: Float[Tensor, "batch heads length length"],
    teacher_mean: Float[Tensor, "batch length length"],
    *,
    mask: Bool[Tensor, "batch length"],
) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
    """H(softmax(mean of A_Z over heads), softmax(mean of A_S)) of a token, in nats, along counted tokens.

    Source: TextBrewer's `att_ce_mean_loss`. Numbers of heads may differ.
    Differs: the softmax is taken over counted tokens alone, so that padding changes nothing.

    Args:
        student_scores: Scores A_S before the softmax.
        teacher_mean: Scores A_Z averaged over the teacher's heads, on the same tokens.
        mask: True at a token that counts.

    Returns:
        The sum over counted tokens, and their number.
    """
    both = mask.unsqueeze(1) & mask.unsqueeze(2)
    probs, _ = soft_targets(teacher_mean, both, temperature=1.0)
    losses = -(probs * soften(widen(student_scores).mean(dim=1), both)).sum(dim=-1)
    return torch.where(mask, losses, 0.0).sum(), mask.sum()
