"""The rows of a cache: what each one is, by content, and where it stands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Int8, Int32, Int64, UInt8

from pipeline.cache.fields import is_of_gold
from pipeline.cache.ragged import Ragged
from pipeline.fingerprint import HASH_BYTES, digest, occurrences

_HASH = f"S{HASH_BYTES}"
_ROW_ID = f"S{HASH_BYTES + 4}"


@dataclass(frozen=True)
class RowTable:
    """The rows of a target set, in order.

    A row's id is the hash of what the teacher reads and the number of equal rows before it. The teacher reads
    equal inputs once.

    Args:
        input_hash: Of what the teacher reads.
        occurrence: The number of rows with the same hash before this one.
        gold_hash: Of the row's labels, which no target depends on but a two-step reader's end forced at the
            gold start.
        length: Tokens that the teacher reads, special ones included.
        question_length: Those of the question.
        split: Index into `splits`.
        splits: Names of the splits.
    """

    input_hash: UInt8[np.ndarray, "rows 16"]
    occurrence: Int32[np.ndarray, " rows"]
    gold_hash: UInt8[np.ndarray, "rows 16"]
    length: Int32[np.ndarray, " rows"]
    question_length: Int32[np.ndarray, " rows"]
    split: Int8[np.ndarray, " rows"]
    splits: tuple[str, ...]

    @classmethod
    def build(
        cls,
        *,
        input_hashes: Sequence[bytes],
        gold_hashes: Sequence[bytes],
        lengths: Sequence[int],
        question_lengths: Sequence[int],
        splits: Sequence[str],
    ) -> "RowTable":
        """The table of rows given one value a row; `splits` names the split of each."""
        # Sorted, as the manifest keeps them.
        names = tuple(sorted(set(splits)))
        codes = {name: code for code, name in enumerate(names)}
        return cls(
            input_hash=hashes_to_array(input_hashes),
            occurrence=np.array(occurrences(input_hashes), np.int32),
            gold_hash=hashes_to_array(gold_hashes),
            length=np.array(lengths, np.int32),
            question_length=np.array(question_lengths, np.int32),
            split=np.array([codes[name] for name in splits], np.int8),
            splits=names,
        )

    def __len__(self) -> int:
        return len(self.occurrence)

    @cached_property
    def _unique(self) -> tuple[Any, Any, Any]:
        return np.unique(hash_keys(self.input_hash), return_index=True, return_inverse=True)

    @cached_property
    def first(self) -> Int64[np.ndarray, " unique"]:
        """The first row of every unique input, in order: an input's ordinal is its place here."""
        return np.sort(self._unique[1])

    @cached_property
    def ordinal(self) -> Int64[np.ndarray, " rows"]:
        """The ordinal of every row's input."""
        ordinals: np.ndarray = self._sorted_ordinals[self._unique[2]]
        return ordinals

    @cached_property
    def _sorted_ordinals(self) -> np.ndarray:
        """The ordinals of the unique inputs in the order of their hashes."""
        ordinals: np.ndarray = np.searchsorted(self.first, self._unique[1])
        return ordinals

    def ordinals_of(self, hashes: UInt8[np.ndarray, "wanted 16"]) -> Int64[np.ndarray, " wanted"]:
        """The ordinal of each input hash, -1 where no row has it."""
        at = self._keys.find(hash_keys(hashes))
        return np.where(at >= 0, self._sorted_ordinals[at], -1) if len(self) else at

    @cached_property
    def _keys(self) -> "_SortedKeys":
        return _SortedKeys(self._unique[0])

    def of_field(self, field: str) -> "RowTable":
        """The rows as the shards of a field know them: where it depends on labels, by both hashes in one."""
        return self._with_gold if is_of_gold(field) else self

    @cached_property
    def _with_gold(self) -> "RowTable":
        return replace(self, input_hash=with_gold(self.input_hash, self.gold_hash))

    @property
    def order(self) -> bytes:
        """The hash of the rows' ids in their order."""
        return digest([self.input_hash.tobytes(), self.occurrence.astype("<i4").tobytes()])

    def counts(self) -> dict[str, int]:
        """Rows a split."""
        return {name: int(np.count_nonzero(self.split == code)) for code, name in enumerate(self.splits)}

    def columns(self) -> dict[str, Ragged]:
        """The table as stored: every column one ragged row that holds all values."""
        arrays = {
            "input_hash": self.input_hash.reshape(-1),
            "occurrence": self.occurrence,
            "gold_hash": self.gold_hash.reshape(-1),
            "length": self.length,
            "question_length": self.question_length,
            "split": self.split,
        }
        return {name: Ragged.of_equal(values[None]) for name, values in arrays.items()}

    @classmethod
    def from_columns(cls, columns: Mapping[str, Ragged], splits: Sequence[str]) -> "RowTable":
        """The table as it was stored.

        Raises:
            ValueError: Columns are missing, or of wrong types or lengths.
        """
        occurrence = stored_values(columns, "occurrence", np.dtype(np.int32), None)
        rows = len(occurrence)
        split = stored_values(columns, "split", np.dtype(np.int8), rows)
        if rows and not (split.min() >= 0 and split.max() < len(splits)):
            raise ValueError(f"a split beyond the {len(splits)} that there are")
        hashes = {
            name: stored_values(columns, name, np.dtype(np.uint8), rows * HASH_BYTES).reshape(
                rows, HASH_BYTES
            )
            for name in ("input_hash", "gold_hash")
        }
        lengths = {
            name: stored_values(columns, name, np.dtype(np.int32), rows)
            for name in ("length", "question_length")
        }
        return cls(**hashes, **lengths, occurrence=occurrence, split=split, splits=tuple(splits))


def stored_values(columns: Mapping[str, Ragged], name: str, dtype: np.dtype, count: int | None) -> np.ndarray:
    """The values of a column that was stored as one row.

    Raises:
        ValueError: It is missing, or not `count` values of type `dtype`.
    """
    column = columns.get(name)
    if column is None or len(column) != 1 or column.values.dtype != dtype:
        raise ValueError(f"no column {name} with one row of {dtype}")
    if count is not None and len(column.values) != count:
        raise ValueError(f"{len(column.values)} values of {name}, not {count}")
    return column.values


def hashes_to_array(hashes: Sequence[bytes]) -> UInt8[np.ndarray, "rows 16"]:
    """Hashes as a matrix of bytes."""
    return np.frombuffer(b"".join(hashes), np.uint8).reshape(len(hashes), HASH_BYTES)


def with_gold(
    input_hash: UInt8[np.ndarray, "rows 16"], gold_hash: UInt8[np.ndarray, "rows 16"]
) -> UInt8[np.ndarray, "rows 16"]:
    """The hash of each input and its labels together."""
    pairs = zip(input_hash, gold_hash, strict=True)
    return hashes_to_array([digest([given.tobytes(), gold.tobytes()]) for given, gold in pairs])


def hash_keys(hashes: UInt8[np.ndarray, "rows 16"]) -> np.ndarray:
    """Hashes as values that sort and compare; equal widths make the byte strings exact."""
    return np.ascontiguousarray(hashes).view(_HASH).reshape(-1)


class RowIndex:
    """Positions of rows by their ids."""

    def __init__(
        self, input_hash: UInt8[np.ndarray, "rows 16"], occurrence: Int32[np.ndarray, " rows"]
    ) -> None:
        keys = _row_ids(input_hash, occurrence)
        self._order = np.argsort(keys)
        self._keys = _SortedKeys(keys[self._order])

    def positions(
        self, input_hash: UInt8[np.ndarray, "wanted 16"], occurrence: Int32[np.ndarray, " wanted"]
    ) -> Int64[np.ndarray, " wanted"]:
        """The position of each row, -1 where there is none."""
        at = self._keys.find(_row_ids(input_hash, occurrence))
        return np.where(at >= 0, self._order[at], -1) if len(self._order) else at


class _SortedKeys:
    """Sorted byte strings of one width, searched by their first 8 bytes, and by all only where these tie."""

    def __init__(self, keys: np.ndarray) -> None:
        self._keys = keys
        self._heads = _heads(keys)

    def find(self, wanted: np.ndarray) -> Int64[np.ndarray, " wanted"]:
        """The place of each key, -1 where it is not there."""
        if not len(self._keys):
            return np.full(len(wanted), -1, np.int64)
        heads = _heads(wanted)
        at = np.minimum(np.searchsorted(self._heads, heads), len(self._keys) - 1)
        tied = np.flatnonzero((self._keys[at] != wanted) & (self._heads[at] == heads))
        if len(tied):
            found = np.searchsorted(self._keys, wanted[tied])
            at[tied] = np.minimum(found, len(self._keys) - 1)
        return np.where(self._keys[at] == wanted, at, -1)


def _heads(keys: np.ndarray) -> np.ndarray:
    """The first 8 bytes of each key, as numbers that sort as the bytes do."""
    first = np.ascontiguousarray(keys).view(np.uint8).reshape(len(keys), keys.dtype.itemsize)[:, :8]
    return np.ascontiguousarray(first).view(">u8").reshape(-1).astype(np.uint64)


def _row_ids(input_hash: UInt8[np.ndarray, "rows 16"], occurrence: Int32[np.ndarray, " rows"]) -> np.ndarray:
    counts = occurrence.astype(">i4").view(np.uint8).reshape(-1, 4)
    ids = np.concatenate([input_hash, counts], axis=1)
    return ids.view(_ROW_ID).reshape(-1)
