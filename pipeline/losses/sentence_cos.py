"""Cosine distance to a teacher's sentence vector."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from pipeline.losses.precision import widen


def sentence_cos(
    student_vector: Float[Tensor, "batch width"],
    teacher_vector: Float[Tensor, "batch width"],
    *,
    counted: Bool[Tensor, " batch"] | None = None,
) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
    """(1 - cos(T_x, S_x)) / 2.

    Source: Wu et al. 2020, Sentence Representation Approximation, arXiv:2004.03097, eq. 1. Their T_x, S_x:
    teacher_vector, student_vector.

    Args:
        student_vector: One vector a row, of the teacher's width.
        teacher_vector: One vector a row.
        counted: True at a row that counts; None counts all.

    Returns:
        The sum over counted rows, and their number.
    """
    rows = torch.ones(len(student_vector), dtype=torch.bool, device=student_vector.device)
    rows = rows if counted is None else counted
    absent = ~rows.unsqueeze(-1)
    student, teacher = (
        normalize(widen(vector).masked_fill(absent, 0.0), dim=-1)
        for vector in (student_vector, teacher_vector)
    )
    losses = 0.5 * (1 - (student * teacher).sum(dim=-1))
    return torch.where(rows, losses, 0.0).sum(), rows.sum()
