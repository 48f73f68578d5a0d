"""Checking every byte of a cache, and all that its files say of each other."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.cache import BACKENDS
from pipeline.cache.checksum import file_checksum
from pipeline.cache.columns import Column
from pipeline.cache.extents import Extents
from pipeline.cache.fields import TOKENS
from pipeline.cache.gather import ColumnReader
from pipeline.cache.identity import field_identity
from pipeline.cache.layout import ROWS, TOP_FILES, files_in, is_plain, shard_name
from pipeline.cache.manifest import Manifest, load_manifest, repair_hint
from pipeline.cache.reader import TargetCache
from pipeline.cache.shard import open_shard
from pipeline.cache.stored_rows import StoredRows, check_file, load_rows
from pipeline.errors import CacheError, DiskError, PipelineError


@dataclass(frozen=True)
class Problem:
    """Something in a cache that is not as written."""

    file: str
    expected: str
    got: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}: expected {self.expected}; got {self.got}; {self.remedy}"


def verify(folder: Path) -> list[Problem]:
    """What is not as written in the cache at `folder`; nothing where every byte is.

    Every file is read, whatever is remembered of it.
    """
    try:
        manifest = load_manifest(folder)
    except (CacheError, DiskError) as error:
        # Without a manifest to go by, shards still say themselves what they must be.
        return [_problem(error), *_misnamed(folder)]
    problems = [*_unknown(folder, manifest), *_unlike_listed(folder, manifest)]
    if not problems:
        problems = list(_inconsistent(folder, manifest))
    if not problems:
        problems = list(_disagreeing(folder, manifest, load_rows(folder, manifest)))
    return problems


def _problem(error: PipelineError) -> Problem:
    return Problem(error.where, error.expected, error.got, error.remedy)


def _misnamed(folder: Path) -> Iterator[Problem]:
    for file in files_in(folder):
        name = shard_name(file)
        if name is None:
            if file not in TOP_FILES:
                yield _foreign(folder, file)
        elif not is_plain(folder / file) or file_checksum(folder / file) != name.xxh3:
            yield Problem(
                str(folder / file),
                f"checksum {name[2]}, as its name says",
                "other bytes",
                repair_hint(folder),
            )


def _unknown(folder: Path, manifest: Manifest) -> Iterator[Problem]:
    known = TOP_FILES | manifest.files().keys()
    yield from (_foreign(folder, file) for file in files_in(folder) if file not in known)


def _foreign(folder: Path, file: str) -> Problem:
    return Problem(
        str(folder / file),
        "only files that the manifest lists",
        "an unknown file",
        "run cache_targets again if a run was cut off, else move the file out of the folder",
    )


def _unlike_listed(folder: Path, manifest: Manifest) -> Iterator[Problem]:
    for entry in manifest.files().values():
        try:
            check_file(folder, entry.file, entry.bytes, entry.xxh3)
        except (CacheError, DiskError) as error:
            yield _problem(error)


def _inconsistent(folder: Path, manifest: Manifest) -> Iterator[Problem]:
    """Files that are as listed, and still do not fit each other: the manifest itself was made up."""
    try:
        TargetCache.open(folder)
        stored = load_rows(folder, manifest)
    except CacheError as error:
        yield _problem(error)
        return
    yield from contradictions(str(folder), manifest, stored, repair_hint(folder))
    for name in manifest.fields:
        yield from _misplaced(folder, manifest, name, stored)


def contradictions(where: str, manifest: Manifest, stored: StoredRows, remedy: str) -> Iterator[Problem]:
    """What manifest and row table say against each other, or the manifest against itself."""
    if stored.rows.order.hex() != manifest.rows.order or len(stored.rows.first) != manifest.rows.unique:
        yield Problem(f"{where}/{ROWS}", "the rows of the manifest", "other rows", remedy)
    for name, field in manifest.fields.items():
        identity = field_identity(bytes.fromhex(manifest.rows.order), [shard.key for shard in field.shards])
        if identity != field.identity:
            yield Problem(where, f"identity {identity} of field {name}", field.identity, remedy)


def _misplaced(folder: Path, manifest: Manifest, name: str, stored: StoredRows) -> Iterator[Problem]:
    """Rows whose place holds another input's values."""
    backend = BACKENDS.load(manifest.backend)()
    places, expected = stored.places[name], stored.rows.of_field(name).input_hash
    for at, entry in enumerate(manifest.fields[name].shards):
        rows = np.flatnonzero(places.shard == at)
        hashes = open_shard(folder, entry.file, backend)[0].hashes[places.index[rows]]
        wrong = np.flatnonzero((hashes != expected[rows]).any(axis=1))
        if len(wrong):
            yield Problem(
                str(folder / entry.file),
                f"row {rows[wrong[0]]} at index {places.index[rows[wrong[0]]]}",
                "another input",
                repair_hint(folder),
            )


def _disagreeing(folder: Path, manifest: Manifest, stored: StoredRows) -> Iterator[Problem]:
    """Columns that say other lengths of a row than the tokens or one another."""
    backend = BACKENDS.load(manifest.backend)()
    extents = Extents(lambda at: f"{folder}, row {at}")
    # The tokens say what most extents are, so they come first.
    for name in sorted(manifest.fields, key=lambda name: (name != TOKENS, name)):
        field, places = manifest.fields[name], stored.places[name]
        parts = [open_shard(folder, shard.file, backend)[1] for shard in field.shards]
        starts = np.cumsum([0, *(shard.rows for shard in field.shards)], dtype=np.int64)
        flat = starts[places.shard] + places.index
        for entry in field.columns:
            column = Column(entry.name, entry.dtype, tuple(entry.axes), entry.unit, entry.encoding)
            try:
                extents.check(column, ColumnReader([part[entry.name] for part in parts]).lengths(flat))
            except CacheError as error:
                yield Problem(error.where, error.expected, error.got, repair_hint(folder))
