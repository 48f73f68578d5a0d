"""A target cache as a plain torch data set, for any training loop; this project's trainer is not needed."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from pipeline.cache.columns import scale_name
from pipeline.cache.reader import TargetCache
from pipeline.errors import ParamsError
from pipeline.training.order import Ticket, announced, epoch_order, num_batches
from pipeline.training.stream import float_or_long


class CacheDataset(Dataset[dict[str, Tensor]]):
    """The rows of a target cache, by their positions in it.

    A DataLoader gets whole padded batches at a time (with `collate_fn=whole`), or one row. The files stay
    mapped: a forked worker shares them, a spawned one opens them again by their path.

    Args:
        path: The cache's folder; of a cache at a URL, what `pipeline.cache.remote.fetched` gives.
        columns: The columns wanted; all but the scales of whole numbers if None.
        expected: The identity of every field wanted, as of `TargetCache.open`.
        announced: Whether rows are fetched as they are announced, as of `TargetCache.open`.

    Attributes:
        cache: The open cache.

    Raises:
        CacheError: As of `TargetCache.open`.
        ParamsError: There is no such column.
    """

    def __init__(
        self,
        path: Path,
        columns: Sequence[str] | None = None,
        *,
        expected: Mapping[str, str] | None = None,
        announced: bool | None = None,
    ) -> None:
        self.cache = TargetCache.open(path, expected=expected, announced=announced)
        there = self.cache.columns
        scales = {scale_name(name) for name, column in there.items() if column.encoding}
        self.columns = tuple(sorted(there.keys() - scales) if columns is None else columns)
        unknown = [name for name in self.columns if name not in there]
        if unknown:
            raise ParamsError(
                path,
                expected="columns of the cache",
                got=", ".join(unknown),
                remedy=f"there are {', '.join(sorted(there))}",
            )

    def __len__(self) -> int:
        return len(self.cache)

    def rows_of(self, split: str) -> Int64[np.ndarray, " rows"]:
        """The positions of a split's rows.

        Raises:
            ParamsError: There is no such split.
        """
        splits = self.cache.rows.splits
        if split not in splits:
            raise ParamsError(
                self.cache.path,
                expected=f"one of the splits {', '.join(splits)}",
                got=split,
                remedy="name one",
            )
        return np.flatnonzero(self.cache.rows.split == splits.index(split))

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        """One row, as a batch without its first axis: nothing is padded."""
        batch = self.__getitems__([row])
        return {name: values[0] for name, values in batch.items()}

    def __getitems__(self, rows: Sequence[int] | Ticket) -> dict[str, Tensor]:
        """A batch, its columns padded with zeros to the longest row.

        Args:
            rows: The positions of rows, or a ticket of `CacheBatches`.

        Returns:
            The columns, floating ones as float32 and others as int64; of every ragged axis that occurs the
            extents, "<axis>_length"; "row", the positions; and "counted", False for rows that only fill up
            the last batch and must be left out of the loss.

        Raises:
            IndexError: There is no such row.
        """
        positions, counted = rows if isinstance(rows, tuple) else (np.array(rows, np.int64), None)
        read = self.cache.batch(positions, self.columns)
        batch = {name: float_or_long(torch.from_numpy(values)) for name, values in read.items()}
        batch["row"] = torch.from_numpy(positions)
        batch["counted"] = torch.ones(len(positions), dtype=torch.bool)
        if counted is not None:
            batch["counted"] = torch.from_numpy(counted)
        return batch

    def announce(self, rows: Int64[np.ndarray, " rows"]) -> None:
        """Say which rows will be asked for soon, as `TargetCache.announce`."""
        self.cache.announce(rows, self.columns)

    def __getstate__(self) -> dict[str, Any]:
        # Another process maps the files itself, and takes nothing but the same fields.
        identity = self.cache.manifest.identity
        expected = {name: identity[name] for name in self.cache.fields}
        return {
            "path": self.cache.path.absolute(),
            "columns": self.columns,
            "expected": expected,
            "announced": self.cache.is_announced,
        }

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.cache = TargetCache.open(state["path"], expected=state["expected"], announced=state["announced"])
        self.columns = state["columns"]


class CacheBatches(Sampler[Ticket]):
    """The batches of an epoch, in an order that follows from seed and epoch alone: a torch batch sampler.

    Over all ranks every row is counted exactly once an epoch, and rows of like length share a batch
    (`pipeline.training.order.epoch_order`). A run that stopped after `step` batches of `epoch` goes on with
    `start_at(epoch, step)`, with any number of ranks that keeps `batch_size * world`.

    Args:
        dataset: The rows.
        rows: The positions of those wanted, all if None.
        batch_size: Rows a batch and rank.
        seed: Of all epochs.
        world: How many ranks share the rows.
        rank: Which of them this is.
    """

    def __init__(
        self,
        dataset: CacheDataset,
        rows: Int64[np.ndarray, " rows"] | None = None,
        *,
        batch_size: int,
        seed: int = 0,
        world: int = 1,
        rank: int = 0,
    ) -> None:
        self._announce = dataset.announce
        self._rows = np.arange(len(dataset), dtype=np.int64) if rows is None else rows
        self._lengths = dataset.cache.rows.length[self._rows].astype(np.int64)
        self._batch_size, self._seed, self._world, self._rank = batch_size, seed, world, rank
        self._epoch, self._step = 0, 0

    def start_at(self, epoch: int, step: int = 0) -> None:
        """Make the next iteration that of `epoch`, without its first `step` batches."""
        self._epoch, self._step = epoch, step

    def __len__(self) -> int:
        """How many batches the next iteration has."""
        every = num_batches(len(self._rows), batch_size=self._batch_size, world=self._world)
        return max(every - self._step, 0)

    def __iter__(self) -> Iterator[Ticket]:
        order = epoch_order(
            self._lengths,
            seed=self._seed,
            epoch=self._epoch,
            batch_size=self._batch_size,
            world=self._world,
            rank=self._rank,
        )
        tickets = ((self._rows[order.rows[at]], order.counted[at]) for at in range(self._step, len(order)))
        yield from announced(tickets, self._announce)


def whole(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The batch as it is: the `collate_fn` of a DataLoader, because the data set has padded already."""
    return batch
