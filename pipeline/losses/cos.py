"""Cosine distance to a teacher's hidden states."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from pipeline.losses.precision import widen


def cos(
    student_hidden: Float[Tensor, "batch length width"],
    teacher_unit: Float[Tensor, "batch length width"],
    *,
    mask: Bool[Tensor, "batch length"],
) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
    """How far the angle between a token's two states is from none: 1 less its cosine.

    Source: TextBrewer's `cos_loss`; Sanh et al. 2019, arXiv:1910.01108, sec. 3.

    Args:
        student_hidden: Hidden states S, of the teacher's width.
        teacher_unit: Hidden states Z over their norm, on the student's tokens.
        mask: True at a token that counts.

    Returns:
        The sum over counted tokens, and their number.
    """
    absent = ~mask.unsqueeze(-1)
    unit = normalize(widen(student_hidden).masked_fill(absent, 0.0), dim=-1)
    cosines = (unit * widen(teacher_unit).masked_fill(absent, 0.0)).sum(dim=-1)
    return torch.where(mask, 1 - cosines, 0.0).sum(), mask.sum()
