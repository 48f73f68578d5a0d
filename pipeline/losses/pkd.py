"""Squared distance between the directions of two first tokens."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from pipeline.losses.precision import widen


def pkd(
    student_hidden: Float[Tensor, "batch length width"],
    teacher_first: Float[Tensor, "batch width"],
    *,
    counted: Bool[Tensor, " batch"] | None = None,
) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
    """Squared distance between S_0 / norm(S_0) and Z_0 / norm(Z_0), the states of the first token.

    Source: Sun et al. 2019, Patient Knowledge Distillation, arXiv:1908.09355, eq. 7; TextBrewer's
    `pkd_loss`.

    Args:
        student_hidden: Hidden states S, of the teacher's width.
        teacher_first: The first token's hidden state Z_0 over its norm.
        counted: True at a row that counts; None counts all.

    Returns:
        The sum over counted rows, and their number.
    """
    rows = torch.ones(len(student_hidden), dtype=torch.bool, device=student_hidden.device)
    rows = rows if counted is None else counted
    first = widen(student_hidden[:, 0]).masked_fill(~rows.unsqueeze(-1), 0.0)
    losses = (normalize(first, dim=-1) - widen(teacher_first)).square().sum(dim=-1)
    return torch.where(rows, losses, 0.0).sum(), rows.sum()
