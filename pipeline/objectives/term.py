"""What every term is: a name, a scale, the rows it counts, a sum."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pipeline.models.reading import Outputs, Part, SpanOutputs

Batch = Mapping[str, Any]
"""Tensors by name, nested: `inputs` for the model, `targets` by alias, and the labels beside them.

Where terms read a student's layers, `OBSERVED` is what was picked up of these.
"""

OBSERVED = "observed"


class Reads(NamedTuple):
    """What is read of a student on its way to its logits.

    Args:
        attention_layer: The layer whose passage x question attention is read, None for none.
        hidden: Layers whose hidden states are, 0 being the embedding output.
        attention: Blocks whose queries and keys are, from 0.
        pooled: Whether the pooler's output is.
    """

    attention_layer: int | None = None
    hidden: frozenset[int] = frozenset()
    attention: frozenset[int] = frozenset()
    pooled: bool = False


@runtime_checkable
class Term(Protocol):
    """One summand of an objective. Its scale is its weight and, for softened logits, T^2."""

    @property
    def name(self) -> str:
        """What it is called in logs."""

    @property
    def weight(self) -> float:
        """The weight of params."""

    @property
    def scale(self) -> float:
        """What its mean is multiplied by."""

    @property
    def reads(self) -> Reads:
        """What it reads of the student beside the outputs of its task."""

    def counted(self, batch: Batch) -> Int[Tensor, ""]:
        """How many rows count; a fact of the data, known before the student runs."""

    def __call__(self, outputs: Outputs, batch: Batch) -> Float[Tensor, ""]:
        """The loss summed over counted rows, without scale."""


def parts_of(outputs: Outputs, *, null_answer: bool) -> tuple[Part, ...]:
    """The parts of a task's outputs; of a span that may be none, with the place of no answer."""
    if not null_answer:
        return outputs.parts
    assert isinstance(outputs, SpanOutputs), "params allow it for spans alone"
    return outputs.parts_with_null


def real_rows(batch: Batch) -> Bool[Tensor, " batch"]:
    """Rows that are no filler and have a passage."""
    # Read off the offsets, for token ranges may stay in host memory.
    rows: Tensor = batch["counted"] & (batch["passage_offsets"][:, :, 1] > 0).any(dim=1)
    return rows


def real_places(batch: Batch) -> Bool[Tensor, " batch *words"]:
    """Where a task's output counts: real rows, or, of a tagger, their words that the student reads."""
    rows = real_rows(batch)
    return rows[:, None] & (batch["words"] >= 0) if "words" in batch else rows


def labelled_rows(batch: Batch) -> Bool[Tensor, " batch *words"]:
    """Real places with a gold label for every part."""
    gold: Tensor = batch["gold"]
    # Several classes, or a number, are known together or not at all.
    known = ~gold.flatten(1).isnan().any(dim=1) if gold.is_floating_point() else (gold >= 0).all(dim=1)
    return real_places(batch) & known


def reduced(totals: Sequence[Float[Tensor, ""]], reduction: str) -> Float[Tensor, ""]:
    """One loss, the "mean" or the "sum", out of those of a task's parts, such as start and end."""
    total = torch.stack(list(totals)).sum()
    return total / len(totals) if reduction == "mean" else total
