"""The rows of several sources as those of one: batches that hold rows of more than one of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.data import Dataset

from pipeline.training.order import Ticket
from pipeline.training.stream import Batch, Stream

# Tensors in which 0 is a place among tokens, and -1 is none.
_PLACES = {"confusing", "end_map", "gold", "start_map", "word_map", "words"}


class JoinedStream(Dataset[Batch]):
    """The rows of several streams, numbered through; asked for a whole batch at a time.

    A batch says of each row its source ("source"), and which sources it has rows of ("sources"). What none
    of those holds, such as the targets of an alias, is not in the batch; what some hold is padded for the
    rows of the others, which the terms that read it must not count.

    Args:
        streams: The sources, in order.
    """

    def __init__(self, streams: Sequence[Stream]) -> None:
        self.streams = tuple(streams)
        self._first = np.cumsum([0, *(len(stream) for stream in streams)])

    def __len__(self) -> int:
        return int(self._first[-1])

    @property
    def source_lengths(self) -> tuple[Int[np.ndarray, " _"], ...]:
        """Tokens of every row, a source each."""
        return tuple(stream.lengths for stream in self.streams)

    def announce(self, rows: Int[np.ndarray, " rows"]) -> None:
        """Say which rows will be asked for soon, to the sources that they are of."""
        source = np.searchsorted(self._first, rows, side="right") - 1
        for number in np.unique(source).tolist():
            self.streams[number].announce(rows[source == number] - self._first[number])

    def __getitems__(self, ticket: Ticket) -> Batch:
        """The batch of a ticket."""
        rows, counted = ticket
        source = np.searchsorted(self._first, rows, side="right") - 1
        present = np.unique(source).tolist()
        places = [np.flatnonzero(source == number) for number in present]
        parts = [
            self.streams[number].__getitems__((rows[at] - self._first[number], counted[at]))
            for number, at in zip(present, places, strict=True)
        ]
        batch = _joined(parts, [torch.from_numpy(at) for at in places], len(rows))
        return {**batch, "source": torch.from_numpy(source), "sources": tuple(present)}


def _joined(
    parts: Sequence[Mapping[str, Any]], places: Sequence[Int[Tensor, " _"]], size: int
) -> dict[str, Any]:
    """Batches as one of `size` rows, in which the rows of each lie at its places."""
    joined: dict[str, Any] = {}
    for name in dict.fromkeys(name for part in parts for name in part):
        there = [(part[name], at) for part, at in zip(parts, places, strict=True) if name in part]
        values = [value for value, _ in there]
        if isinstance(values[0], Mapping):
            joined[name] = _joined(values, [at for _, at in there], size)
        else:
            joined[name] = _padded(there, size, -1 if name in _PLACES else 0)
    return joined


def _padded(there: Sequence[tuple[Tensor, Int[Tensor, " _"]]], size: int, padding: int) -> Tensor:
    extents = [max(of_axis) for of_axis in zip(*(values.shape[1:] for values, _ in there), strict=True)]
    padded = there[0][0].new_full((size, *extents), padding)
    for values, at in there:
        extent: tuple[Any, ...] = (at, *(slice(size) for size in values.shape[1:]))
        padded[extent] = values
    return padded
