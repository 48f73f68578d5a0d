"""How large a model is, and which of its modules are."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class ModuleSize:
    """A module's weights, those of its submodules included. What an earlier module holds too counts there.

    Args:
        name: What its parent calls it.
        kind: Its class.
        parameters: Number of weights.
        bytes: What they take in memory.
        shared: Number of weights that an earlier module holds too; they are not among `parameters`.
        children: Its submodules, in their order.
    """

    name: str
    kind: str
    parameters: int
    bytes: int
    shared: int
    children: tuple["ModuleSize", ...]


def size_tree(model: nn.Module, name: str = "") -> ModuleSize:
    """The sizes of a model's modules; what two layers share counts once, with the first of them."""
    return _sized(model, name, set())


def num_parameters(model: nn.Module) -> int:
    """Number of weights; what two layers share counts once."""
    return size_tree(model).parameters


def size_mb(model: nn.Module) -> float:
    """Bytes of the weights in memory, in millions; what two layers share counts once."""
    return size_tree(model).bytes / 1e6


def tree_lines(tree: ModuleSize, depth: int) -> list[str]:
    """A line a module, with its parameters and MB, `depth` levels deep."""
    rows = [(f"{tree.name} ({tree.kind})", tree), *_branches(tree, "", depth)]
    width = max(len(label) for label, _ in rows)
    numbers = [f"{size.parameters:,}" for _, size in rows]
    column = max(map(len, numbers))
    return [
        f"{label:<{width}}  {number:>{column}}  {size.bytes / 1e6:>10,.3f} MB"
        + (f"  (+{size.shared:,} shared)" if size.shared else "")
        for (label, size), number in zip(rows, numbers, strict=True)
    ]


# A storage, and where in it a weight lies: cuDNN keeps all weights of a recurrent layer in one storage.
_Place = tuple[int, int, int]


def _sized(module: nn.Module, name: str, seen: set[_Place]) -> ModuleSize:
    parameters = bytes_ = shared = 0
    for weight in module.parameters(recurse=False):
        if (place := _place(weight)) in seen:
            shared += weight.numel()
        else:
            seen.add(place)
            parameters += weight.numel()
            bytes_ += weight.numel() * weight.element_size()
    children = tuple(_sized(child, key, seen) for key, child in module._modules.items() if child is not None)
    return ModuleSize(
        name,
        type(module).__name__,
        parameters + sum(child.parameters for child in children),
        bytes_ + sum(child.bytes for child in children),
        shared + sum(child.shared for child in children),
        children,
    )


def _place(weight: Tensor) -> _Place:
    return weight.untyped_storage().data_ptr(), int(weight.storage_offset()), weight.numel()


def _branches(tree: ModuleSize, indent: str, depth: int) -> Iterator[tuple[str, ModuleSize]]:
    children = [child for child in tree.children if child.parameters or child.shared] if depth else []
    for child in children:
        is_last = child is children[-1]
        yield f"{indent}{'└── ' if is_last else '├── '}{child.name} ({child.kind})", child
        yield from _branches(child, indent + ("    " if is_last else "│   "), depth - 1)
