"""Token ranges of a batch as gather indices: the passage or question of every row, packed to the left."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Positions:
    """Where a batch's ranges lie, padded to the longest of them (to 1 where all are empty).

    `index` holds token positions (any position where `mask` is False), `mask` what belongs to a range.
    """

    index: Int[Tensor, "batch width"]
    mask: Bool[Tensor, "batch width"]

    @classmethod
    def of(cls, ranges: Int[Tensor, "batch 2"], device: torch.device) -> "Positions":
        """Positions of half-open `ranges`, on `device`.

        Ranges kept in host memory spare a wait for the accelerator.
        """
        width = max(1, int((ranges[:, 1] - ranges[:, 0]).max()))
        ranges = ranges.to(device, torch.int64, non_blocking=True)
        index = ranges[:, :1] + torch.arange(width, device=device)
        mask = index < ranges[:, 1:]
        return cls(index.masked_fill(~mask, 0), mask)

    def only(self, counted: Bool[Tensor, "batch length"]) -> "Positions":
        """These positions without those that do not count."""
        return Positions(self.index, self.mask & counted.gather(1, self.index))

    def take(self, values: Float[Tensor, "batch length *features"]) -> Float[Tensor, "batch width *features"]:
        """What stands in `values` at these positions."""
        if values.ndim == 2:
            return values.gather(1, self.index)
        index = self.index.unsqueeze(-1).expand(-1, -1, values.shape[2])
        return values.gather(1, index)
