"""The margin by which a gold answer should beat the teacher's most confusing one."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pipeline.losses.precision import widen
from pipeline.losses.softening import counted_rows

MARGIN = 1.0


def answer_margin(
    student_logits: Float[Tensor, "*rows classes"],
    gold: Int[Tensor, "*rows"],
    confusing: Int[Tensor, "*rows"],
    *,
    mask: Bool[Tensor, "*rows classes"],
    counted: Bool[Tensor, "*rows"] | None = None,
) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
    """max(0, 1 - s_gold + s_confusing) on raw logits: one summand of L_ANS, for the start or the end.

    Source: Hu et al. 2018, Attention-Guided Answer Distillation, sec. 3.2.

    Args:
        student_logits: Raw logits.
        gold: The gold answer's boundary; negative where there is none, and the row does not count.
        confusing: The confusing answer's boundary; negative likewise.
        mask: True at a class that exists.
        counted: True at a row that counts; None counts all that have both boundaries.

    Returns:
        The sum over counted rows, and their number.
    """
    rows = counted_rows(mask, counted) & (gold >= 0) & (confusing >= 0)
    # Zero off the mask: whatever stands there reaches neither value nor gradient.
    logits = widen(student_logits).masked_fill(~mask, 0.0)
    boundaries = torch.stack([gold, confusing], dim=-1).clamp(min=0)
    wanted, unwanted = logits.gather(-1, boundaries).unbind(dim=-1)
    losses = (MARGIN - wanted + unwanted).clamp(min=0)
    return torch.where(rows, losses, 0.0).sum(), rows.sum()
