"""Squared distance to a teacher's relevance score."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pipeline.losses.precision import widen


def soft_score_mse(
    student_logits: Float[Tensor, "*rows outputs"],
    teacher_logits: Float[Tensor, "*rows classes"],
    *,
    counted: Bool[Tensor, "*rows"] | None = None,
) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
    """(r - R)^2, with r and R the probabilities of relevance that teacher and student give.

    Source: Yang et al. 2019, Model Compression with Multi-Task Knowledge Distillation for Web-scale
    Question Answering, arXiv:1904.09636, eq. 4: one head a teacher regresses that teacher's score.

    Args:
        student_logits: Raw logits of the head; one or two of them.
        teacher_logits: Raw logits; one or two of them.
        counted: True at a row that counts; None counts all.

    Returns:
        The sum over counted rows, and their number.
    """
    losses = (relevance(student_logits) - relevance(teacher_logits)).square()
    rows = torch.ones_like(losses, dtype=torch.bool) if counted is None else counted
    return torch.where(rows, losses, 0.0).sum(), rows.sum()


def relevance(logits: Float[Tensor, "*rows outputs"]) -> Float[Tensor, "*rows"]:
    """The probability of relevance: the second class of two, the sigmoid of one logit."""
    wide = widen(logits)
    return wide.sigmoid().squeeze(-1) if wide.shape[-1] == 1 else wide.softmax(dim=-1)[..., 1]
