"""One loss out of those of a task's parts, such as start and end."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def reduced(totals: Sequence[Float[Tensor, ""]], reduction: str) -> Float[Tensor, ""]:
    """The "mean" or the "sum" of `totals`."""
    total = torch.stack(list(totals)).sum()
    return total / len(totals) if reduction == "mean" else total
