"""Reading a cache: any rows, in any order, as padded batches."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
from jaxtyping import Int, Int32, Int64, UInt8

from pipeline.cache import BACKENDS
from pipeline.cache.columns import TOKEN, TOKEN_PAIRS, scale_name
from pipeline.cache.encoding import decode
from pipeline.cache.fields import TOKENS
from pipeline.cache.gather import NO_WIDTHS, ColumnReader, Gather
from pipeline.cache.layout import TOP_FILES, files_in
from pipeline.cache.manifest import ColumnEntry, FieldEntry, Manifest, load_manifest, repair_hint
from pipeline.cache.ragged import Ragged
from pipeline.cache.readahead import exceeds_memory
from pipeline.cache.rows import RowIndex, RowTable, hashes_to_array
from pipeline.cache.shard import open_shard
from pipeline.cache.stamps import Stamps
from pipeline.cache.stored_rows import Places, check_file, load_rows
from pipeline.errors import DamagedError, MismatchError


class _Column(NamedTuple):
    """An open column, those of its axes that differ by row, and the last axis where it is one of them."""

    entry: ColumnEntry
    reader: ColumnReader
    axes: tuple[str, ...]
    ragged: str | None


class _Together(NamedTuple):
    """Columns that are read together.

    Args:
        gather: Reads the columns, and after them the scales of those that have some.
        widths: The extents, of every row, of the axes that it must be told, a line each.
        encoded: Columns that are decoded: name, encoding, and where their scales are among what is gathered.
        known: Of the lines of `widths`, the name under which their extents are reported.
        found: Of columns, the name under which the first extents of their rows are reported.
        looked_up: Extents of every row that are reported beside these, by name.
    """

    gather: Gather
    widths: tuple[Int64[np.ndarray, " rows"], ...]
    encoded: tuple[tuple[str, str, int | None], ...]
    known: tuple[tuple[int, str], ...]
    found: tuple[tuple[int, str], ...]
    looked_up: tuple[tuple[Int64[np.ndarray, " rows"], str], ...]


class TargetCache:
    """A sealed cache, open for reading. `TargetCache.open` makes one.

    Attributes:
        path: The cache's folder.
        manifest: What is in it.
        rows: Its rows, in order.
        fields: The fields that are open, the tokens included.
        is_announced: Whether `announce` has rows fetched: for a cache that does not fit into memory.
    """

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        rows: RowTable,
        fields: Mapping[str, Sequence[_Column]],
        is_announced: bool = False,
    ) -> None:
        self.path = path
        self.manifest = manifest
        self.rows = rows
        self.fields = tuple(fields)
        self._columns = {column.entry.name: column for columns in fields.values() for column in columns}
        self.is_announced = is_announced
        if is_announced:
            for column in self._columns.values():
                column.reader.read_at_random()
        self._extents_of: dict[str, np.ndarray] = {}
        self._gathers: dict[tuple[str, ...], _Together] = {}

    @classmethod
    def open(
        cls, path: Path, *, expected: Mapping[str, str] | None = None, announced: bool | None = None
    ) -> "TargetCache":
        """Open the cache at `path` once all that will be read of it is known to be as written.

        Args:
            path: Its folder.
            expected: The identity of every field wanted; only these fields and the tokens are opened. None
                opens all there are, whatever they are.
            announced: Whether rows are read from disk as `announce` says; None: where the fields that are
                opened do not fit into memory now.

        Raises:
            CacheError: There is no cache.
            DamagedError: A file is missing, unknown, or not as it was written.
            MismatchError: A field is missing, or not the one expected.
        """
        manifest = load_manifest(path)
        _check_names(path, manifest)
        if expected is not None:
            _check_identity(path, manifest, expected)
        wanted = [name for name in manifest.fields if expected is None or name in {TOKENS, *expected}]
        stamps = Stamps(path)
        stored = load_rows(path, manifest, stamps)
        for loose in manifest.unreferenced if expected is None else ():
            check_file(path, loose.file, loose.bytes, loose.xxh3, stamps)
        fields = {name: _open_field(path, manifest, name, stored.places[name], stamps) for name in wanted}
        stamps.save()
        if announced is None:
            opened = sum(shard.bytes for name in wanted for shard in manifest.fields[name].shards)
            announced = exceeds_memory(opened)
        mapped = BACKENDS.load(
            manifest.backend
        )().mapped  # others are unpacked into memory as they are opened
        return cls(path, manifest, stored.rows, fields, announced and mapped)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def columns(self) -> dict[str, ColumnEntry]:
        """The columns that are open, by name."""
        return {name: column.entry for name, column in self._columns.items()}

    @cached_property
    def _index(self) -> RowIndex:
        return RowIndex(self.rows.input_hash, self.rows.occurrence)

    def positions(
        self,
        row_ids: Sequence[bytes] | UInt8[np.ndarray, "wanted 16"],
        occurrences: Sequence[int] | Int[np.ndarray, " wanted"],
    ) -> Int64[np.ndarray, " wanted"]:
        """The positions of rows by input hash and occurrence.

        Args:
            row_ids: Input hashes, 16 bytes each, or a matrix of them.
            occurrences: For each, the number of equal rows before the one meant.

        Raises:
            MismatchError: The cache does not hold some row.
        """
        hashes = row_ids if isinstance(row_ids, np.ndarray) else hashes_to_array(row_ids)
        numbers = np.asarray(occurrences, np.int32)
        found = self.find(hashes, numbers)
        if np.any(found < 0):
            at = int(np.argmax(found < 0))
            raise MismatchError(
                self.path,
                expected=f"row {hashes[at].tobytes().hex()}, occurrence {numbers[at]}",
                got=f"no such row; {np.count_nonzero(found < 0):,} of {len(found):,} rows are missing",
                remedy="the data changed since targets were cached: run cache_targets, then bind",
            )
        return found

    def find(
        self, hashes: UInt8[np.ndarray, "wanted 16"], occurrences: Int32[np.ndarray, " wanted"]
    ) -> Int64[np.ndarray, " wanted"]:
        """As `positions`, with -1 where the cache does not hold a row."""
        return self._index.positions(hashes, occurrences)

    def batch(self, positions: Int64[np.ndarray, " batch"], columns: Sequence[str]) -> dict[str, np.ndarray]:
        """Rows of some columns, padded with zeros to the longest.

        float16 and float32 come as they are stored, other encodings as the float32 that they stand for.

        Args:
            positions: The rows, in the order wanted.
            columns: Names of columns.

        Returns:
            The columns, each with an axis for the rows before its own, and for every axis that occurs and
            differs by row (passage, question, span, start, token, ...) each row's extent, an int64 array
            "<axis>_length". Triangles come packed, with the extent of `token` beside them.

        Raises:
            MismatchError: There is no such column.
            DamagedError: Columns disagree about the length of a row, which no writer seals.
            IndexError: There is no such row.
        """
        try:
            return self._batch(positions, columns)
        except ValueError as error:
            raise DamagedError(
                self.path,
                expected="columns that agree about every row",
                got=str(error),
                remedy="run `coldbrew cache verify`, and fill the cache again into a new folder",
            ) from error

    def announce(self, positions: Int64[np.ndarray, " rows"], columns: Sequence[str]) -> None:
        """Say which rows will be asked for soon; they are fetched where the cache is larger than memory.

        Some hundred rows at a time, before the batches they are for, are best.

        Args:
            positions: The rows, in any order.
            columns: Names of columns.

        Raises:
            MismatchError: There is no such column.
            IndexError: There is no such row.
        """
        if self.is_announced:
            together, _, widths = self._asked(positions, tuple(columns))
            together.gather.announce(positions, widths)

    def _asked(
        self, positions: Int64[np.ndarray, " batch"], names: tuple[str, ...]
    ) -> tuple["_Together", list[np.ndarray], np.ndarray]:
        """How columns are read, and the extents that these rows must be told, apart and as one array."""
        together = self._gathers.get(names) or self._together(names)
        # Faster than the same by a fancy index, which counts here.
        extents = [of_rows.take(positions) for of_rows in together.widths]
        widths = np.array(extents) if len(extents) > 1 else extents[0][None] if extents else NO_WIDTHS
        return together, extents, widths

    def _batch(self, positions: Int64[np.ndarray, " batch"], columns: Sequence[str]) -> dict[str, np.ndarray]:
        names = tuple(columns)
        together, extents, widths = self._asked(positions, names)
        gathered, found = together.gather(positions, widths)
        batch = dict(zip(names, gathered, strict=False))
        for name, encoding, scale in together.encoded:
            batch[name] = decode(batch[name], encoding, None if scale is None else gathered[scale])
        for line, name in together.known:
            batch[name] = extents[line]
        for at, name in together.found:
            batch[name] = found[at, 1]
        for of_rows, name in together.looked_up:
            batch[name] = of_rows.take(positions)
        return batch

    def _together(self, names: tuple[str, ...]) -> "_Together":
        """How the columns of these names are read; worked out once."""
        columns = [self._columns.get(name) or self._refuse(name) for name in names]
        coded = [scale_name(name) if self._columns[name].entry.encoding else "" for name in names]
        scales = [name for name in coded if name in self._columns]
        every = [*columns, *(self._columns[name] for name in scales)]
        widths = list(dict.fromkeys(column.ragged for column in every if column.ragged is not None))
        found: dict[str, int] = {}
        looked_up: list[str] = []
        for at, column in enumerate(columns):
            for axis in [*column.axes, *([TOKEN] if TOKEN_PAIRS in column.axes else [])]:
                if axis in widths or axis in found or axis in looked_up:
                    continue
                if column.ragged is None and axis in column.axes:
                    found[axis] = at
                else:
                    looked_up.append(axis)
        together = _Together(
            gather=Gather(
                [column.reader for column in every],
                [None if column.ragged is None else widths.index(column.ragged) for column in every],
            ),
            widths=tuple(self._extents(axis) for axis in widths),
            encoded=tuple(
                (name, column.entry.encoding, len(columns) + scales.index(scale) if scale in scales else None)
                for name, column, scale in zip(names, columns, coded, strict=True)
                if column.entry.encoding is not None
            ),
            known=tuple((line, _length_of(axis)) for line, axis in enumerate(widths)),
            found=tuple((at, _length_of(axis)) for axis, at in found.items()),
            looked_up=tuple((self._extents(axis), _length_of(axis)) for axis in looked_up),
        )
        self._gathers[names] = together
        return together

    def _extents(self, axis: str) -> Int64[np.ndarray, " rows"]:
        """The extent of an axis in every row, by the tokens or a column of it alone: worked out once."""
        if axis == TOKEN:
            return self._lengths
        if axis not in self._extents_of:
            every = np.arange(len(self), dtype=np.int64)
            column = self._columns.get(f"{axis}_offsets") or next(
                column for column in self._columns.values() if column.axes == (axis,)
            )
            self._extents_of[axis] = column.reader.lengths(every)
        return self._extents_of[axis]

    @cached_property
    def _lengths(self) -> Int64[np.ndarray, " rows"]:
        return self.rows.length.astype(np.int64)

    def _refuse(self, name: str) -> NoReturn:
        raise MismatchError(
            self.path,
            expected=f"a column {name}",
            got=f"columns {', '.join(sorted(self._columns))}",
            remedy="add its field to the target set in params, and run cache_targets and bind",
        )


def _length_of(axis: str) -> str:
    return f"{axis}_length"


def _check_names(path: Path, manifest: Manifest) -> None:
    """Stop where a file is in the folder that the manifest does not know."""
    known = TOP_FILES | manifest.files().keys()
    for file in files_in(path):
        if file not in known:
            raise DamagedError(
                path / file,
                expected="only files that the manifest lists",
                got="an unknown file",
                remedy="run cache_targets again if a run was cut off, else move the file out of the folder",
            )


def _check_identity(path: Path, manifest: Manifest, expected: Mapping[str, str]) -> None:
    for field, identity in expected.items():
        got = manifest.identity.get(field)
        if got is None:
            raise MismatchError(
                path,
                expected=f"field {field}",
                got=f"fields {', '.join(manifest.fields)}",
                remedy="add the field to the target set in params and run cache_targets",
            )
        if got != identity:
            teacher = ", ".join(f"{name} {value[:8]}" for name, value in sorted(manifest.teacher.items()))
            raise MismatchError(
                path,
                expected=f"field {field} with identity {identity}, which the student's inputs are bound to",
                got=f"{got} (teacher {teacher}; tokenizer {manifest.tokenizer[:8]}; "
                f"{manifest.rows.count:,} rows): other weights, tokenizer, settings or rows",
                remedy="run bind again, or cache_targets with the teacher and data that were meant",
            )


def _open_field(path: Path, manifest: Manifest, name: str, places: Places, stamps: Stamps) -> list[_Column]:
    entry = manifest.fields[name]
    parts = [_open_shard(path, manifest, entry, at, stamps) for at in range(len(entry.shards))]
    starts = np.cumsum([0, *(shard.rows for shard in entry.shards)], dtype=np.int64)
    order = starts[places.shard] + places.index
    # The rows of a cache that was filled at once lie in their order.
    ordered = len(order) == starts[-1] and bool(np.array_equal(order, np.arange(len(order))))
    columns = []
    for column in entry.columns:
        fixed, last = column.fixed, column.axes[-1] if len(column.axes) > 1 else None
        reader = ColumnReader(
            [part[column.name] for part in parts],
            width=fixed.get(last, 1) if last else None,
            outer=fixed[column.axes[0]] if len(column.axes) == 3 else None,
            order=None if ordered else order,
        )
        axes = tuple(axis for axis in column.axes if axis not in fixed)
        columns.append(_Column(column, reader, axes, None if last in fixed else last))
    return columns


def _open_shard(
    path: Path, manifest: Manifest, field: FieldEntry, at: int, stamps: Stamps
) -> dict[str, Ragged]:
    """The columns of a shard, all that compiled code will believe of them checked."""
    listed = field.shards[at]
    check_file(path, listed.file, listed.bytes, listed.xxh3, stamps)
    shard, columns = open_shard(path, listed.file, BACKENDS.load(manifest.backend)())
    got = {name: str(column.values.dtype) for name, column in columns.items()}
    wanted = {column.name: column.dtype for column in field.columns}
    if shard.covers != field.covers or got != wanted or len(shard.hashes) != listed.rows:
        raise DamagedError(
            path / listed.file,
            expected=f"{listed.rows} rows of {wanted}",
            got=f"{len(shard.hashes)} rows of {got}",
            remedy=repair_hint(path),
        )
    return columns
