"""Batches of a student: its own inputs joined with raw targets, by row.

Targets stay in their teacher's tokens. Aligning them is the terms' work, on the device, because it depends
on each term's temperature.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Int, Real, Shaped
from torch import Tensor
from torch.utils.data import Dataset

from pipeline.cache.gather import ColumnReader
from pipeline.cache.ragged import Ragged
from pipeline.training.order import Ticket

Batch = dict[str, Any]

# The columns that differ in length from row to row, with the values of one token; None for one alone.
_WIDTHS = {
    "input_ids": None,
    "token_type_ids": None,
    "character_ids": 16,
    "passage_offsets": 2,
    "question_offsets": 2,
}


@runtime_checkable
class TargetSource(Protocol):
    """Where raw targets come from: a cache, or a teacher in memory."""

    def positions(self, row_ids: Sequence[bytes], occurrences: Sequence[int]) -> Int[np.ndarray, " rows"]:
        """Where the rows lie in the source."""

    def batch(self, positions: Int[np.ndarray, " batch"], columns: Sequence[str]) -> Mapping[str, np.ndarray]:
        """Padded columns of some rows, with their lengths in tokens."""

    def announce(self, positions: Int[np.ndarray, " rows"], columns: Sequence[str]) -> None:
        """Hear which rows will be asked for soon."""


@dataclass(frozen=True)
class Targets:
    """One target set as the rows of a stream see it: row i lies at `positions[i]` of the source."""

    source: TargetSource
    positions: Int[np.ndarray, " rows"]
    columns: tuple[str, ...]


class Stream(Dataset[Batch]):
    """Rows of a student's inputs, each with its targets by alias; asked for a whole batch at a time.

    Args:
        columns: The columns of an inputs file.
        targets: The target sets that the terms read, by alias.
        mixes: The aliases that stand for several of them, whose own aliases are `<mix>/0`, `<mix>/1`, ... A
            mix has a confusing answer of its own; what its members say comes raw, for the terms to average.
        labels: What the labels of the student's task are, as of `pipeline.tasks.task.Task`.
    """

    def __init__(
        self,
        columns: Mapping[str, Ragged],
        targets: Mapping[str, Targets],
        mixes: Sequence[str] = (),
        labels: str = "answers",
    ) -> None:
        self.targets = targets
        self.aliases = (*targets, *mixes)
        self.lengths = columns["input_ids"].lengths
        self._readers = {
            name: ColumnReader([columns[name]], width=width)
            for name, width in _WIDTHS.items()
            if name in columns
        }
        # A map is bound where its logits are read, a confusing answer where a term reads it.
        self._maps = {
            alias: {
                name: ColumnReader([columns[f"{alias}/{name}"]])
                for name in ("start_map", "end_map", "word_map")
                if f"{alias}/{name}" in columns
            }
            for alias in targets
        }
        self._pairs = {name: _pairs(columns[name]) for name in ("question", "passage")}
        self._labels = labels
        # Tags are as many as words; other labels are as many in each row.
        self._words = {
            name: ColumnReader([columns[name]]) for name in ("gold", "words") if "words" in columns
        }
        self._labelled = None if "words" in columns else _table(columns["gold"])
        # Of teachers with other tokens: the answers in these, and those that each of the student's overlaps.
        self._gold = {
            alias: _pairs(columns[f"{alias}/gold"]) for alias in targets if f"{alias}/gold" in columns
        }
        self._spans = {
            alias: ColumnReader([columns[f"{alias}/token_spans"]], width=2)
            for alias in targets
            if f"{alias}/token_spans" in columns
        }
        self._confusing = {
            alias: _pairs(columns[f"{alias}/confusing"])
            for alias in self.aliases
            if f"{alias}/confusing" in columns
        }

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def source_lengths(self) -> tuple[Int[np.ndarray, " rows"], ...]:
        """Tokens of every row, of this one source."""
        return (self.lengths,)

    def announce(self, rows: Int[np.ndarray, " rows"]) -> None:
        """Say which rows will be asked for soon: targets larger than memory are fetched meanwhile."""
        for targets in self.targets.values():
            if targets.columns:
                targets.source.announce(targets.positions[rows], targets.columns)

    def __getitems__(self, ticket: Ticket) -> Batch:
        """The batch of a ticket."""
        rows, counted = ticket
        return {
            "inputs": self._inputs(rows),
            **{name: torch.from_numpy(pairs[rows]) for name, pairs in self._pairs.items()},
            **self._golds(rows),
            "passage_offsets": self._padded("passage_offsets", rows),
            "question_offsets": self._padded("question_offsets", rows),
            "counted": torch.from_numpy(counted),
            "targets": {alias: self._targets(alias, rows) for alias in self.aliases},
        }

    def _golds(self, rows: Int[np.ndarray, " batch"]) -> dict[str, Tensor]:
        """Gold labels, a part in each place of axis 1, and the words' first pieces, where words have tags."""
        if self._labelled is not None:
            gold = torch.from_numpy(self._labelled[rows])
            return {"gold": gold[:, None] if self._labels == "classes" else gold}
        gold, words = (_filled(self._words[name], rows) for name in ("gold", "words"))
        return {"gold": gold[:, None], "words": words}

    def _inputs(self, rows: Int[np.ndarray, " batch"]) -> dict[str, Tensor]:
        input_ids = self._padded("input_ids", rows)
        inputs = {
            "input_ids": input_ids,
            "token_type_ids": self._padded("token_type_ids", rows),
            "attention_mask": _mask(torch.from_numpy(self.lengths[rows]), input_ids.shape[1]).long(),
        }
        if "character_ids" in self._readers:
            inputs["character_ids"] = self._padded("character_ids", rows)
        return inputs

    def _targets(self, alias: str, rows: Int[np.ndarray, " batch"]) -> dict[str, Tensor]:
        targets = self.targets.get(alias)
        read: Mapping[str, np.ndarray] = {}
        if targets is not None and targets.columns:
            read = targets.source.batch(targets.positions[rows], targets.columns)
        values = {name: float_or_long(torch.from_numpy(array)) for name, array in read.items()}
        for name, reader in self._maps.get(alias, {}).items():
            values[name] = _filled(reader, rows)
        if alias in self._gold:
            values["gold"] = torch.from_numpy(self._gold[alias][rows])
        if alias in self._spans:
            values["token_spans"] = torch.from_numpy(self._spans[alias].padded(rows)).long()
        if alias in self._confusing:
            values["confusing"] = torch.from_numpy(self._confusing[alias][rows])
        return values

    def _padded(self, name: str, rows: Int[np.ndarray, " batch"]) -> Int[Tensor, "batch length *width"]:
        return torch.from_numpy(self._readers[name].padded(rows)).long()


def row_identities(columns: Mapping[str, Ragged]) -> tuple[list[bytes], list[int]]:
    """The input hash and the occurrence of every row of an inputs file."""
    packed = columns["row_id"].values.reshape(-1, 20)
    hashes = [row.tobytes() for row in packed[:, :16]]
    return hashes, np.ascontiguousarray(packed[:, 16:]).view("<i4").ravel().tolist()


def _filled(reader: ColumnReader, rows: Int[np.ndarray, " batch"]) -> Int[Tensor, "batch length"]:
    """A column of whole numbers, padded with -1."""
    values = torch.from_numpy(reader.padded(rows)).long()
    return values.masked_fill(~_mask(torch.from_numpy(reader.lengths(rows)), values.shape[1]), -1)


def _table(column: Ragged) -> Real[np.ndarray, "rows width"]:
    """A column whose rows have one length, whole numbers wide enough for torch to index with."""
    values = column.values.reshape(len(column), -1)
    return values if values.dtype.kind == "f" else values.astype(np.int64)


def _pairs(column: Ragged) -> Int[np.ndarray, "rows 2"]:
    return column.values.reshape(-1, 2).astype(np.int64)


def _mask(lengths: Int[Tensor, " batch"], width: int) -> Bool[Tensor, "batch length"]:
    return torch.arange(width) < lengths[:, None]


def float_or_long(values: Shaped[Tensor, "*shape"]) -> Shaped[Tensor, "*shape"]:
    """Values of a cache in the types that losses compute in."""
    return values.float() if values.is_floating_point() else values.long()
