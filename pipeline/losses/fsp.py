"""Distance between two models' flows from one layer to another."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pipeline.losses.precision import full_precision, widen


def fsp(
    student_hidden: Float[Tensor, "batch length width"],
    teacher_fsp: Float[Tensor, "batch width width"],
    *,
    mask: Bool[Tensor, "batch length"],
    student_other: Float[Tensor, "batch length width"] | None = None,
) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
    """Mean over width x width of (G_S - G_Z)^2, with G = X^T Y / tokens of either side.

    Source: Yim et al. 2017, A Gift from Knowledge Distillation, eq. 1 and 2; TextBrewer's `fsp_loss` and, of
    a layer with itself, `gram_loss`.

    Args:
        student_hidden: Hidden states X, of the teacher's width.
        teacher_fsp: G_Z, over the teacher's tokens.
        mask: True at a token that counts.
        student_other: Hidden states Y; None takes X.

    Returns:
        The sum over rows that have a counted token, and their number.
    """
    absent, rows = ~mask.unsqueeze(-1), mask.any(dim=1)
    first = widen(student_hidden).masked_fill(absent, 0.0)
    other = first if student_other is None else widen(student_other).masked_fill(absent, 0.0)
    with full_precision(first):
        products = first.transpose(1, 2) @ other / mask.sum(dim=1).clamp(min=1)[:, None, None]
    losses = (products - widen(teacher_fsp)).square().mean(dim=(1, 2))
    return torch.where(rows, losses, 0.0).sum(), rows.sum()
