"""Copies from the device that run beside its next work."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Landing:
    """Tensors on their way to host memory."""

    tensors: dict[str, Tensor]
    arrived: torch.cuda.Event | None

    def arrays(self) -> dict[str, np.ndarray]:
        """The values, once they have arrived."""
        if self.arrived is not None:
            self.arrived.synchronize()
        return {name: tensor.numpy() for name, tensor in self.tensors.items()}


def to_host(tensors: dict[str, Tensor]) -> Landing:
    """Start copying `tensors` to host memory; on a CPU they are there already."""
    if not any(tensor.is_cuda for tensor in tensors.values()):
        return Landing(tensors, None)
    landed = {
        name: torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor, non_blocking=True)
        for name, tensor in tensors.items()
    }
    arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
    arrived.record()
    return Landing(landed, arrived)
