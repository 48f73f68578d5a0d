"""Dropout that is cheap where random numbers are dear."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

_LEVELS = 256


class Dropout(nn.Module):
    """`nn.Dropout`, on a CPU with one random byte an element in place of one random number.

    There the rate is the nearest multiple of 1/256, and what is kept is scaled by that rate exactly. A draw
    costs a third: PyTorch draws on one thread, and a small convolutional model on two cores spends a
    tenth of its training step on it.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, states: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Some of `states` set to 0, the others scaled so that the mean stays."""
        if not self.training or self.rate == 0:
            return states
        if not states.is_cpu:
            return F.dropout(states, self.rate)
        dropped = min(round(self.rate * _LEVELS), _LEVELS - 1)
        words = torch.empty((states.numel() + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
        is_kept = words.view(torch.uint8)[: states.numel()].view(states.shape) >= dropped
        return states * is_kept * (_LEVELS / (_LEVELS - dropped))

    def extra_repr(self) -> str:
        """The rate, for printing a model."""
        return f"rate={self.rate}"
