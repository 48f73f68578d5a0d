"""An exponential moving average of a model's trained weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


class AveragedWeights:
    """Averages of the parameters that `model` trains, kept in float32 on their device.

    The decay ramps up as min(decay, (1 + t) / (10 + t)) at the t-th update, so that a short training
    does not end with an average of its first weights.
    """

    def __init__(self, model: nn.Module, *, decay: float) -> None:
        self.decay = decay
        self._trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
        self._averages = {name: value.detach().float().clone() for name, value in self._trained.items()}

    def decay_at(self, update: int) -> float:
        """The decay of the update with this number, counted from 1."""
        return min(self.decay, (1 + update) / (10 + update))

    @torch.no_grad()
    def update(self, update: int) -> None:
        """Take in the weights as they are after optimizer step number `update`."""
        current = [value.detach().float() for value in self._trained.values()]
        torch._foreach_lerp_(list(self._averages.values()), current, 1 - self.decay_at(update))

    def save(self, path: Path) -> None:
        """Write the averages as safetensors."""
        save_file(self._averages, path)

    def load(self, path: Path) -> None:
        """Read averages that `save` wrote for a model of the same shape."""
        stored = load_file(path)
        for name, value in self._averages.items():
            value.copy_(stored[name])

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """The model with the averages for weights, until the block ends."""
        with torch.no_grad():
            kept = {name: value.detach().clone() for name, value in self._trained.items()}
            self._assign(self._averages)
            try:
                yield
            finally:
                self._assign(kept)

    def _assign(self, values: dict[str, Tensor]) -> None:
        for name, parameter in self._trained.items():
            parameter.data.copy_(values[name])
