"""Focal-loss style weights: rows on which student and teacher differ are softened less."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

from pipeline.schedules.temperature import moved


@torch.no_grad()
def flsw(
    student_logits: Float[Tensor, "*rows classes"],
    teacher_logits: Float[Tensor, "*rows classes"],
    *,
    mask: Bool[Tensor, "*rows classes"],
    counted: Bool[Tensor, "*rows"],
    temperature: float,
    beta: float = 1.0,
    gamma: float = 1.0,
) -> Float[Tensor, "*rows"]:
    """T + beta (mean(w) - w), with w = (1 - cos(z, s))^gamma of a row's raw logits, and a floor.

    Source: Wen et al. 2019, Preparing Lessons, arXiv:1911.07471, sec. 3.3; TextBrewer's `flsw`.
    Differs: rounding never takes 1 - cos below 0, and a temperature never falls below a floor.

    Args:
        student_logits: Raw logits s.
        teacher_logits: Raw logits z of the same classes; minus infinity at one of which it says nothing.
        mask: True at a class that exists.
        counted: True at a row that counts; the mean is over these rows of one batch on one device, but for
            those of which the teacher says nothing.
        temperature: T.
        beta: How far temperatures move.
        gamma: How much more rows that differ most stand out.
    """
    known = mask & ~teacher_logits.isneginf()
    student, teacher = (
        normalize(logits.masked_fill(~known, 0.0), dim=-1) for logits in (student_logits, teacher_logits)
    )
    weights = (1 - (student * teacher).sum(dim=-1)).clamp(min=0) ** gamma
    return moved(weights, counted & known.any(dim=-1), temperature=temperature, beta=beta)
