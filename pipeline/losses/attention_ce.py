"""Cross-entropy against a teacher's attention, a head."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pipeline.losses.softening import soft_targets, soften


def attention_ce(
    student_scores: Float[Tensor, "batch heads length length"],
    teacher_scores: Float[Tensor, "batch heads length length"],
    *,
    mask: Bool[Tensor, "batch length"],
) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
    """Mean over heads of H(softmax(A_Z), softmax(A_S)) of a token, in nats, along the counted tokens.

    Source: TextBrewer's `att_ce_loss`.
    Differs: the softmax is taken over counted tokens alone, so that padding changes nothing.

    Args:
        student_scores: Scores A_S before the softmax.
        teacher_scores: Scores A_Z of as many heads, on the same tokens.
        mask: True at a token that counts.

    Returns:
        The sum over counted tokens, and their number.
    """
    both = (mask.unsqueeze(1) & mask.unsqueeze(2)).unsqueeze(1).expand_as(student_scores)
    probs, _ = soft_targets(teacher_scores, both, temperature=1.0)
    losses = -(probs * soften(student_scores, both)).sum(dim=-1).mean(dim=1)
    return torch.where(mask, losses, 0.0).sum(), mask.sum()
