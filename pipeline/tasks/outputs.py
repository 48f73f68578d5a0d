"""What a model's outputs are called, as its configuration has it."""

from collections.abc import Mapping, Sequence
from typing import Any


def output_names(id2label: Mapping[Any, Any] | None) -> tuple[str, ...]:
    """The names in the order of the outputs, which need not be that of the file: "10" sorts before "2"."""
    named = {int(number): str(name) for number, name in (id2label or {}).items()}
    return tuple(named[number] for number in sorted(named))


def are_numbers(names: Sequence[str]) -> bool:
    """Whether these are transformers' own names, which say nothing."""
    return all(name == f"LABEL_{number}" for number, name in enumerate(names))
