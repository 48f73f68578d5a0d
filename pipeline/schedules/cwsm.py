"""Confidence-weighted softening: rows that a student is unsure of are softened less."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pipeline.schedules.temperature import moved


@torch.no_grad()
def cwsm(
    student_logits: Float[Tensor, "*rows classes"],
    teacher_logits: Any,
    *,
    mask: Bool[Tensor, "*rows classes"],
    counted: Bool[Tensor, "*rows"],
    temperature: float,
    beta: float = 1.0,
) -> Float[Tensor, "*rows"]:
    """T + beta (mean(w) - w), with w = 1 / max softmax(s) of a row, and a floor.

    Source: Wen et al. 2019, Preparing Lessons, arXiv:1911.07471, sec. 3.3; TextBrewer's `cwsm`.
    Differs: a temperature never falls below a floor.

    Args:
        student_logits: Raw logits s.
        teacher_logits: Not read: tokens may differ from the student's.
        mask: True at a class that exists.
        counted: True at a row that counts; the mean is over these rows of one batch on one device.
        temperature: T.
        beta: How far temperatures move.
    """
    probs = student_logits.masked_fill(~mask, -torch.inf).masked_fill(~mask.any(-1, keepdim=True), 0.0)
    weights = 1 / probs.softmax(dim=-1).amax(dim=-1)
    return moved(weights, counted, temperature=temperature, beta=beta)
