"""Symmetric matrices as their lower triangles, which `pipeline.cache.triangle` unpacks."""

import torch
from jaxtyping import Shaped
from torch import Tensor


def pack_triangle(matrices: Shaped[Tensor, "*batch size size"]) -> Shaped[Tensor, "*batch values"]:
    """The lower triangles of symmetric `matrices`, row by row."""
    rows, columns = torch.tril_indices(matrices.shape[-1], matrices.shape[-1], device=matrices.device)
    return matrices[..., rows, columns]
