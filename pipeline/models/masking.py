"""Padding that cannot be told from absence."""

from jaxtyping import Bool, Float
from torch import Tensor, finfo

# A logit that never wins. Finite, so that 0 times it is 0, and far enough from the end of float32 to be
# divided by a temperature or added to another.
OFF_PASSAGE = -1e30


def masked_softmax(
    scores: Float[Tensor, "*shape"], mask: Bool[Tensor, "..."], *, dim: int = -1
) -> Float[Tensor, "*shape"]:
    """Softmax over axis `dim` where `mask`, which broadcasts to `scores`, is True; 0 elsewhere."""
    return scores.masked_fill(~mask, finfo(scores.dtype).min).softmax(dim) * mask
