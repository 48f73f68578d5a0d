"""Sealing: the row table, the manifest, and the checksums that account for every byte of the folder."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.cache import BACKENDS
from pipeline.cache.checksum import file_checksum
from pipeline.cache.columns import TOKEN
from pipeline.cache.encoding import EncodingError
from pipeline.cache.extents import Extents
from pipeline.cache.fields import spec_of
from pipeline.cache.gather import ColumnReader
from pipeline.cache.identity import field_identity
from pipeline.cache.layout import MANIFEST, PROVENANCE, ROWS, SEAL, SHARDS
from pipeline.cache.manifest import (
    ColumnEntry,
    ErrorEntry,
    FieldEntry,
    LooseEntry,
    Manifest,
    RowsEntry,
    ShardEntry,
    load_manifest,
    seal_bytes,
)
from pipeline.cache.plan import FieldPlan, Plan
from pipeline.cache.provenance import next_provenance
from pipeline.cache.settings import CacheSettings
from pipeline.cache.shard import Shard, open_shard
from pipeline.cache.stored_rows import Places, write_rows
from pipeline.errors import CacheError
from pipeline.files import TEMPORARY, new_file, write_text


def seal(done: Plan, facts: Mapping[str, Any]) -> Manifest:
    """Write row table, manifest, provenance and seal; nothing, where they say so already.

    Args:
        done: The plan of a folder where no shard is missing.
        facts: What this run did.

    Raises:
        CacheError: A row has no place in some field, or columns of a row do not fit each other.
    """
    folder = done.folder
    for name, field in done.fields.items():
        if field.missing or np.any(field.places.shard < 0):
            raise CacheError(
                folder,
                expected=f"all {len(done.rows):,} rows in field {name}",
                got=f"{np.count_nonzero(field.places.shard < 0):,} inputs without a shard",
                remedy="run cache_targets again",
            )
    places = {
        name: _of_rows(field.places, done.rows.of_field(name).ordinal) for name, field in done.fields.items()
    }
    unnamed = folder / f".{ROWS}{TEMPORARY}"
    with new_file(unnamed) as temporary:
        write_rows(temporary, done.rows, places)
    try:
        manifest = _manifest(done, unnamed)
        if _is_sealed(folder, manifest):
            return manifest
        _check_extents(done)
        unnamed.replace(folder / ROWS)
    finally:
        unnamed.unlink(missing_ok=True)
    provenance = next_provenance(folder, facts)
    write_text(folder / PROVENANCE, provenance)
    write_sealed(folder, manifest)
    return manifest


def write_sealed(folder: Path, manifest: Manifest) -> None:
    """Write the manifest, and the seal over it and the provenance that is there."""
    data = manifest.to_bytes()
    write_text(folder / MANIFEST, data.decode())
    write_text(folder / SEAL, seal_bytes(data, (folder / PROVENANCE).read_bytes()).decode())


def _of_rows(places: Places, ordinal: np.ndarray) -> Places:
    return Places(places.shard[ordinal], places.index[ordinal])


def _is_sealed(folder: Path, manifest: Manifest) -> bool:
    with contextlib.suppress(CacheError, OSError):
        rows = folder / ROWS
        return load_manifest(folder) == manifest and file_checksum(rows) == manifest.rows.xxh3
    return False


def _manifest(done: Plan, rows_file: Path) -> Manifest:
    settings, rows = done.settings, done.rows
    order = rows.order
    return Manifest(
        backend=settings.backend,
        teacher=dict(settings.teacher),
        tokenizer=settings.tokenizer,
        settings=dict(settings.numbers),
        classes=list(settings.classes),
        rows=RowsEntry(
            bytes=rows_file.stat().st_size,
            xxh3=file_checksum(rows_file),
            count=len(rows),
            unique=len(rows.first),
            order=order.hex(),
            splits=rows.counts(),
        ),
        fields={name: _field_entry(settings, name, field, order) for name, field in done.fields.items()},
        unreferenced=[
            LooseEntry(file=shard.file, bytes=shard.bytes, xxh3=shard.xxh3) for shard in done.unreferenced
        ],
    )


def _field_entry(settings: CacheSettings, name: str, field: FieldPlan, order: bytes) -> FieldEntry:
    columns = settings.columns(name)
    encoded = [column.name for column in columns if any(column.name in shard.errors for shard in field.kept)]
    return FieldEntry(
        covers=settings.fingerprint(name),
        identity=field_identity(order, [shard.key for shard in field.kept]),
        numerics=spec_of(name).numerics,
        options=settings.options(name),
        merged_from=list(settings.merged_from.get(name, ())),
        columns=[
            ColumnEntry(
                name=column.name,
                dtype=column.dtype,  # type: ignore[arg-type]
                axes=list(column.axes),
                unit=column.unit,
                encoding=column.encoding,  # type: ignore[arg-type]
                extents=dict(column.fixed),
            )
            for column in columns
        ],
        error={column: _error_entry(field.kept, column) for column in encoded},
        shards=[
            ShardEntry(
                file=shard.file,
                bytes=shard.bytes,
                xxh3=shard.xxh3,
                rows=len(shard.hashes),
                key=shard.key,
                block=shard.block,
            )
            for shard in field.kept
        ],
    )


def _error_entry(shards: tuple[Shard, ...], column: str) -> ErrorEntry:
    return ErrorEntry(**EncodingError.sum(shard.errors[column] for shard in shards).summary())  # type: ignore[arg-type]


def _check_extents(done: Plan) -> None:
    """Compare every row's extents over all fields, those filled at other times included."""
    backend = BACKENDS.load(done.settings.backend)()
    # Rows that differ in what some field goes by.
    rows = np.unique(np.concatenate([done.rows.of_field(name).first for name in done.fields]))
    extents = Extents(
        lambda at: f"{done.folder / SHARDS}, row {rows[at]}",
        {TOKEN: done.rows.length[rows].astype(np.int64)},
    )
    for name, field in done.fields.items():
        opened = [open_shard(done.folder, shard.file, backend)[1] for shard in field.kept]
        starts = np.cumsum([0, *(len(shard.hashes) for shard in field.kept)])
        places = _of_rows(field.places, done.rows.of_field(name).ordinal[rows])
        flat = starts[places.shard] + places.index
        for column in done.settings.columns(name):
            extents.check(column, ColumnReader([columns[column.name] for columns in opened]).lengths(flat))
