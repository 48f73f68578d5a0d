"""What a fill would do: which shards stay, which are computed, and how large everything is.

A plan is made from the rows, the settings and the files on disk alone, so a killed run, new rows, a new
field, a damaged shard and a complete cache are the same case.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from pipeline.cache import BACKENDS
from pipeline.cache.layout import files_in, is_ours, shard_name
from pipeline.cache.manifest import Manifest, ShardEntry, load_manifest
from pipeline.cache.ragged import Backend
from pipeline.cache.rows import RowTable
from pipeline.cache.settings import CacheSettings, shard_key
from pipeline.cache.shard import Shard, open_shard
from pipeline.cache.sizes import bytes_per_row, rows_per_block, rows_per_shard
from pipeline.cache.stamps import Stamps
from pipeline.cache.stored_rows import Places, load_rows
from pipeline.errors import CacheError, DamagedError


@dataclass(frozen=True)
class MissingShard:
    """A shard to be computed.

    Args:
        field: Its field.
        key: Its key.
        rows: Its inputs (of a field that depends on labels: inputs and labels), each by the first row that
            has it, in order.
        block: Rows that the teacher is given at a time.
    """

    field: str
    key: str
    rows: Int64[np.ndarray, " rows"]
    block: int

    def blocks(self) -> Iterator[Int64[np.ndarray, " block"]]:
        """The rows that the teacher is given together."""
        for start in range(0, len(self.rows), self.block):
            yield self.rows[start : start + self.block]


@dataclass(frozen=True)
class FieldPlan:
    """What becomes of one field.

    Args:
        kept: Shards that are whole and hold rows of the table, in the order of the first row of each.
        missing: Shards to be computed.
        bytes_per_row: Expected for a unique input.
        places: Of each unique input (of a field that depends on labels: each unique input with its labels),
            its shard among `kept` and its index there; -1 where it has none.
    """

    kept: tuple[Shard, ...]
    missing: tuple[MissingShard, ...]
    bytes_per_row: float
    places: Places

    @property
    def missing_bytes(self) -> int:
        """Bytes expected to be written."""
        return round(self.bytes_per_row * sum(len(shard.rows) for shard in self.missing))

    @property
    def kept_bytes(self) -> int:
        """Bytes on disk that stay."""
        return sum(shard.bytes for shard in self.kept)


@dataclass(frozen=True)
class Plan:
    """What a fill would do.

    Args:
        folder: The cache's folder.
        rows: Its rows.
        settings: What it is made with.
        fields: What becomes of each field, the tokens included.
        unreferenced: Whole shards that hold none of the rows, or belong to other settings.
        damaged: Files that have a shard's name and other bytes than it says.
        free_bytes: What the disk has left.
    """

    folder: Path
    rows: RowTable
    settings: CacheSettings
    fields: Mapping[str, FieldPlan]
    unreferenced: tuple[Shard, ...]
    damaged: tuple[str, ...]
    free_bytes: int

    @property
    def missing_bytes(self) -> int:
        """Bytes expected to be written."""
        return sum(field.missing_bytes for field in self.fields.values())

    @property
    def total_bytes(self) -> int:
        """The cache's expected size once filled, without what is unreferenced."""
        return self.missing_bytes + sum(field.kept_bytes for field in self.fields.values())

    @property
    def pending_rows(self) -> int:
        """Unique inputs that the teacher must read."""
        missing = [shard.rows for field in self.fields.values() for shard in field.missing]
        return len(np.unique(np.concatenate(missing))) if missing else 0

    def check_budget(self, budget_gb: float | None) -> None:
        """Stop before the first byte where the disk or the budget would be exceeded.

        Raises:
            CacheError: It would.
        """
        if budget_gb is not None and self.total_bytes > budget_gb * 1e9:
            raise CacheError(
                self.folder,
                expected=f"at most {budget_gb:g} GB, the budget",
                got=f"{self.total_bytes / 1e9:.3g} GB planned",
                remedy="raise budget_gb, or cache fewer fields, smaller encodings or fewer rows",
            )
        if self.missing_bytes > self.free_bytes:
            raise CacheError(
                self.folder,
                expected=f"{self.missing_bytes / 1e9:.3g} GB of free disk",
                got=f"{self.free_bytes / 1e9:.3g} GB",
                remedy="free some disk, or cache fewer fields, smaller encodings or fewer rows",
            )

    def summary(self) -> dict[str, Any]:
        """The plan in numbers, for printing."""
        return {
            "folder": str(self.folder),
            "rows": len(self.rows),
            "unique_inputs": len(self.rows.first),
            "inputs_to_read": self.pending_rows,
            "bytes_to_write": self.missing_bytes,
            "bytes_in_all": self.total_bytes,
            "bytes_free": self.free_bytes,
            "unreferenced_bytes": sum(shard.bytes for shard in self.unreferenced),
            "damaged": list(self.damaged),
            "fields": {
                name: {
                    "options": self.settings.options(name),
                    "bytes_per_row": round(field.bytes_per_row),
                    "shards_kept": len(field.kept),
                    "shards_to_compute": len(field.missing),
                    "bytes_to_write": field.missing_bytes,
                    "bytes_in_all": field.missing_bytes + field.kept_bytes,
                }
                for name, field in self.fields.items()
            },
        }


def plan(folder: Path, rows: RowTable, settings: CacheSettings, *, rehash: bool = False) -> Plan:
    """What `fill` would do; nothing is written.

    Args:
        folder: The cache's folder, which need not exist.
        rows: All rows that the cache is to hold.
        settings: What it is made with.
        rehash: Whether to read every byte again, and not trust what is remembered of unchanged files.

    Raises:
        CacheError: There are no rows.
        ParamsError: There is no such backend.
    """
    if not len(rows):
        raise CacheError(
            folder, expected="rows to cache", got="none", remedy="check the data set and its splits"
        )
    backend: Backend = BACKENDS.load(settings.backend)()
    stored, damaged = _shards_on_disk(folder, backend, Stamps(folder, trust=not rehash))
    sizes = {field: bytes_per_row(settings, rows, field) for field in settings.field_names}
    shard_rows = {field: rows_per_shard(settings, size) for field, size in sizes.items()}
    block = rows_per_block(settings, shard_rows.values())
    before = _sealed(folder)
    fields = {
        field: _plan_field(
            field,
            settings,
            rows.of_field(field),
            [shard for shard in stored if shard.field == field],
            before.get(field, ()),
            shard_rows[field],
            block,
            sizes[field],
        )
        for field in settings.field_names
    }
    used = {shard.file for field in fields.values() for shard in field.kept}
    return Plan(
        folder=folder,
        rows=rows,
        settings=settings,
        fields=fields,
        unreferenced=tuple(shard for shard in stored if shard.file not in used),
        damaged=damaged,
        free_bytes=_free_bytes(folder),
    )


def _shards_on_disk(folder: Path, backend: Backend, stamps: Stamps) -> tuple[list[Shard], tuple[str, ...]]:
    """The whole shards in the folder, and the names of those that are not."""
    whole, damaged = [], []
    for file in files_in(folder):
        name = shard_name(file)
        if name is None or not is_ours(folder, file):
            continue
        if name.suffix != backend.suffix:
            raise CacheError(
                folder / file,
                expected=f"shards of the backend asked for, {backend.suffix}",
                got="another kind",
                remedy="name the backend that the cache was filled with, or write it again with"
                " `coldbrew cache convert`",
            )
        try:
            if stamps.checksum(folder / file) != name.xxh3:
                raise DamagedError(folder / file, expected=name.xxh3, got="other bytes", remedy="repair")
            whole.append(open_shard(folder, file, backend)[0])
        except DamagedError:
            damaged.append(file)
    stamps.save()
    return whole, tuple(damaged)


@dataclass(frozen=True)
class _Listed:
    """A shard as the last seal knew it: its entry, and those of its inputs that rows lay in."""

    covers: str
    entry: ShardEntry
    hashes: np.ndarray
    index: np.ndarray


def _sealed(folder: Path) -> dict[str, list[_Listed]]:
    """What lay where when the cache was last sealed; nothing where that cannot be trusted."""
    try:
        manifest = load_manifest(folder)
        stored = load_rows(folder, manifest)
    except CacheError:
        return {}
    return {
        field: list(_listed(manifest, field, stored.rows.of_field(field), stored.places[field]))
        for field in manifest.fields
    }


def _listed(manifest: Manifest, field: str, rows: RowTable, places: Places) -> Iterator[_Listed]:
    entry = manifest.fields[field]
    order = np.lexsort((places.index[rows.first], places.shard[rows.first]))
    first = rows.first[order]
    bounds = np.searchsorted(places.shard[first], np.arange(len(entry.shards) + 1))
    for at, shard in enumerate(entry.shards):
        inside = first[bounds[at] : bounds[at + 1]]
        yield _Listed(entry.covers, shard, rows.input_hash[inside], places.index[inside])


def _plan_field(
    field: str,
    settings: CacheSettings,
    rows: RowTable,
    stored: Sequence[Shard],
    before: Sequence[_Listed],
    shard_rows: int,
    block: int,
    bytes_a_row: float,
) -> FieldPlan:
    covers = settings.fingerprint(field)
    draft = _Draft(rows)
    usable = {shard.file: shard for shard in stored if shard.covers == covers}
    # 1. A row stays in the shard that it lay in, or in the one that takes the place of a damaged one.
    for listed in before:
        if listed.covers == covers:
            if shard := usable.get(listed.entry.file):
                draft.keep(shard, listed.index)
            else:
                draft.restore(field, covers, listed)
    # 2. Shards that no seal knows, or knows without these rows: a killed run's, or vanished rows' come back.
    for shard in sorted(usable.values(), key=lambda shard: (-len(shard.hashes), shard.key)):
        if not draft.free.any():
            break
        draft.keep(shard, np.arange(len(shard.hashes)))
    # 3. New shards for the rest, in the order of the rows.
    rest = np.flatnonzero(draft.free)
    for start in range(0, len(rest), shard_rows):
        chosen = rows.first[rest[start : start + shard_rows]]
        key = shard_key(covers, block, rows.input_hash[chosen])
        draft.missing.append(MissingShard(field, key, chosen, block))
    kept, places = draft.kept_in_order()
    missing = tuple(sorted(draft.missing, key=lambda shard: int(shard.rows[0])))
    return FieldPlan(kept, missing, bytes_a_row, places)


class _Draft:
    """Unique inputs, and which shard each has found so far."""

    def __init__(self, rows: RowTable) -> None:
        self.rows = rows
        self.free = np.ones(len(rows.first), np.bool_)
        self.missing: list[MissingShard] = []
        self._shards: dict[str, Shard] = {}
        self._numbers: dict[str, int] = {}
        self._shard = np.full(len(rows.first), -1, np.int32)
        self._index = np.full(len(rows.first), -1, np.int32)

    def keep(self, shard: Shard, index: np.ndarray) -> None:
        """Give to `shard` those inputs at `index` in it that have found none."""
        inside = index[(index >= 0) & (index < len(shard.hashes))]
        ordinals = self.rows.ordinals_of(shard.hashes[inside])
        wanted = (ordinals >= 0) & self.free[ordinals]
        if not wanted.any():
            return
        number = self._numbers.setdefault(shard.file, len(self._numbers))
        self._shards[shard.file] = shard
        self._shard[ordinals[wanted]] = number
        self._index[ordinals[wanted]] = inside[wanted]
        self.free[ordinals[wanted]] = False

    def restore(self, field: str, covers: str, listed: _Listed) -> None:
        """Plan a lost shard again, where all its inputs are known and still there."""
        entry = listed.entry
        if len(listed.hashes) != entry.rows or shard_key(covers, entry.block, listed.hashes) != entry.key:
            return
        ordinals = self.rows.ordinals_of(listed.hashes)
        if np.all(ordinals >= 0) and np.all(self.free[ordinals]):
            self.missing.append(MissingShard(field, entry.key, self.rows.first[ordinals], entry.block))
            self.free[ordinals] = False

    def kept_in_order(self) -> tuple[tuple[Shard, ...], Places]:
        """The shards kept, by the first input in each, and where every input lies."""
        found = np.flatnonzero(self._shard >= 0)
        numbers, first = np.unique(self._shard[found], return_index=True)
        order = numbers[np.argsort(first)]
        rank = np.full(len(self._numbers) + 1, -1, np.int32)
        rank[order] = np.arange(len(order))
        by_number = {number: self._shards[file] for file, number in self._numbers.items()}
        kept = tuple(by_number[int(number)] for number in order)
        return kept, Places(rank[self._shard], self._index)


def _free_bytes(folder: Path) -> int:
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free
