"""Ragged columns, all that a cache file holds, and the interface of the files that hold them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64, Shaped
from numpy.typing import DTypeLike


@dataclass(frozen=True)
class Ragged:
    """Rows of differing lengths: row i is `values[offsets[i]:offsets[i + 1]]`.

    A row with two axes is flat, row-major; its last extent is known from elsewhere.

    Raises:
        ValueError: The offsets do not describe rows inside `values`.
    """

    values: np.ndarray
    offsets: Int64[np.ndarray, " bounds"]

    def __post_init__(self) -> None:
        # Compiled code follows offsets without looking, so no other kind of Ragged may exist.
        if self.values.ndim != 1 or not self.values.flags.c_contiguous:
            raise ValueError("values must be one contiguous axis")
        if self.offsets.dtype != np.int64 or self.offsets.ndim != 1:
            raise ValueError(f"offsets must be one axis of int64, not {self.offsets.dtype}")
        if len(self.offsets) == 0 or not self.offsets.flags.c_contiguous:
            raise ValueError("offsets must be contiguous, one more than there are rows")
        if self.offsets[0] != 0 or self.offsets[-1] != len(self.values):
            raise ValueError(
                f"offsets run from {self.offsets[0]} to {self.offsets[-1]}, not from 0 to {len(self.values)}"
            )
        if np.any(self.offsets[1:] < self.offsets[:-1]):
            raise ValueError("offsets decrease")

    @classmethod
    def from_rows(cls, rows: Sequence[Shaped[np.ndarray, " _"]], dtype: DTypeLike) -> "Ragged":
        """Pack one array a row."""
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        values = np.concatenate(rows).astype(dtype, copy=False) if rows else np.empty(0, dtype)
        return cls(values, offsets)

    @classmethod
    def concatenate(cls, parts: Sequence["Ragged"]) -> "Ragged":
        """The rows of all `parts`, of which there is at least one, in order."""
        starts = np.cumsum([0, *(len(part.values) for part in parts)])
        offsets = [part.offsets[:-1] + start for part, start in zip(parts, starts[:-1], strict=True)]
        return cls(np.concatenate([part.values for part in parts]), np.concatenate([*offsets, starts[-1:]]))

    @classmethod
    def of_equal(cls, rows: Shaped[np.ndarray, "rows width"]) -> "Ragged":
        """Rows of one length, given as a matrix."""
        count, width = rows.shape
        return cls(np.ascontiguousarray(rows).reshape(-1), np.arange(count + 1, dtype=np.int64) * width)

    def take(self, rows: Int64[np.ndarray, " wanted"]) -> "Ragged":
        """Some of the rows, copied, in the order of `rows`."""
        return Ragged.from_rows([self.row(row) for row in rows.tolist()], self.values.dtype)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int64[np.ndarray, " rows"]:
        """The number of values of every row."""
        return np.diff(self.offsets)

    def row(self, index: int) -> Shaped[np.ndarray, " values"]:
        """The values of one row, not copied.

        Raises:
            IndexError: There is no such row.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        return self.values[self.offsets[index] : self.offsets[index + 1]]


@runtime_checkable
class Backend(Protocol):
    """One kind of file for named ragged columns of equally many rows.

    A backend writes equal columns and metadata as equal bytes.

    Attributes:
        suffix: How its files' names end.
        mapped: Whether it opens a file by mapping, without a copy; if not, it unpacks the file into memory.
    """

    suffix: str
    mapped: bool

    def write(self, path: Path, columns: Mapping[str, Ragged], metadata: Mapping[str, str]) -> None:
        """Write a new file at `path`. The caller makes it durable (`pipeline.files.new_file`).

        Raises:
            CacheError: A file is there already.
        """
        ...

    def open(self, path: Path) -> tuple[dict[str, Ragged], dict[str, str]]:
        """The columns, mapped, and the metadata of the file at `path`.

        Raises:
            DamagedError: The file is missing, cut short, or not what `write` makes.
        """
        ...
