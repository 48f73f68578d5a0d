"""How large a model is."""

from torch import Tensor, nn


def num_parameters(model: nn.Module) -> int:
    """Number of weights; what two layers share counts once."""
    return sum(tensor.numel() for tensor in _storages(model))


def size_mb(model: nn.Module) -> float:
    """Bytes of the weights in memory, in millions; what two layers share counts once."""
    return sum(tensor.numel() * tensor.element_size() for tensor in _storages(model)) / 1e6


def _storages(model: nn.Module) -> list[Tensor]:
    """One parameter a storage."""
    return list({weight.untyped_storage().data_ptr(): weight for weight in model.parameters()}.values())
