"""The temperature of each row, moved about a base by how much the row has yet to teach."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

# A temperature below this would soften nothing; TextBrewer's schedules can fall under 0.
FLOOR = 0.1


def constant(
    student_logits: Any, teacher_logits: Any, *, mask: Any, counted: Any, temperature: float
) -> float:
    """`temperature` for every row."""
    return temperature


def moved(
    weights: Float[Tensor, "*rows"],
    counted: Bool[Tensor, "*rows"],
    *,
    temperature: float,
    beta: float,
) -> Float[Tensor, "*rows"]:
    """`temperature` + beta (mean of the weights - weight), `FLOOR` or more; the mean is over counted rows."""
    mean = torch.where(counted, weights, 0.0).sum() / counted.sum().clamp(min=1)
    return (temperature + beta * (mean - weights)).clamp(min=FLOOR)
