"""Floating types inside losses: float32 whatever the model computes in, float64 where that is given."""

from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor


def widen(values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """`values` in float32, or float64 where they are that already."""
    return values if values.dtype == torch.float64 else values.float()


def full_precision(values: Shaped[Tensor, "*shape"]) -> Any:
    """A block in which matrix products on the device of `values` keep their type: no autocast."""
    return torch.autocast(values.device.type, enabled=False)
