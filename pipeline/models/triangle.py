"""Symmetric matrices as their lower triangles, as `pipeline.cache.triangle` has them."""

import math

import torch
from jaxtyping import Shaped
from torch import Tensor


def pack_triangle(matrices: Shaped[Tensor, "*batch size size"]) -> Shaped[Tensor, "*batch values"]:
    """The lower triangles of symmetric `matrices`, row by row."""
    rows, columns = torch.tril_indices(matrices.shape[-1], matrices.shape[-1], device=matrices.device)
    return matrices[..., rows, columns]


def unpack_triangle(values: Shaped[Tensor, "*batch values"]) -> Shaped[Tensor, "*batch size size"]:
    """The symmetric matrices whose lower triangles are `values`; what was padded with zeros, so is here."""
    size = (math.isqrt(8 * values.shape[-1] + 1) - 1) // 2
    at = torch.arange(size, device=values.device)
    high, low = torch.maximum(at[:, None], at), torch.minimum(at[:, None], at)
    return values[..., high * (high + 1) // 2 + low]
