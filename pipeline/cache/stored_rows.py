"""The row table on disk, with the place of every row in every field."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int32

from pipeline.cache import BACKENDS
from pipeline.cache.checksum import file_checksum
from pipeline.cache.layout import ROWS, is_plain
from pipeline.cache.manifest import Manifest, repair_hint
from pipeline.cache.ragged import Ragged
from pipeline.cache.rows import RowTable, stored_values
from pipeline.cache.stamps import Stamps
from pipeline.errors import DamagedError
from pipeline.files import disk_errors


@dataclass(frozen=True)
class Places:
    """Of each row: its shard, by the number in the manifest's list, and its index in that."""

    shard: Int32[np.ndarray, " rows"]
    index: Int32[np.ndarray, " rows"]


@dataclass(frozen=True)
class StoredRows:
    """The rows of a sealed cache."""

    rows: RowTable
    places: Mapping[str, Places]


def write_rows(path: Path, rows: RowTable, places: Mapping[str, Places]) -> None:
    """Write a new file of rows and of the places, a row's, of every field."""
    columns = rows.columns()
    for field in sorted(places):
        columns[f"{field}/shard"] = Ragged.of_equal(places[field].shard[None])
        columns[f"{field}/index"] = Ragged.of_equal(places[field].index[None])
    BACKENDS.load("arrow")().write(path, columns, {})


def load_rows(folder: Path, manifest: Manifest, stamps: Stamps | None = None) -> StoredRows:
    """The rows of a cache, every place checked to lie inside a shard.

    Raises:
        DamagedError: The file is not what the manifest says.
    """
    path = folder / ROWS
    check_file(folder, ROWS, manifest.rows.bytes, manifest.rows.xxh3, stamps)
    columns, _ = BACKENDS.load("arrow")().open(path)
    try:
        rows = RowTable.from_columns(columns, list(manifest.rows.splits))
        if len(rows) != manifest.rows.count or rows.counts() != manifest.rows.splits:
            raise ValueError(f"{len(rows)} rows, not {manifest.rows.count}, or other splits")
        places = {
            field: _places(columns, field, [shard.rows for shard in entry.shards], len(rows))
            for field, entry in manifest.fields.items()
        }
    except ValueError as error:
        raise DamagedError(
            path, expected="the rows of the manifest", got=str(error), remedy=repair_hint(folder)
        ) from error
    return StoredRows(rows, places)


def _places(columns: Mapping[str, Ragged], field: str, sizes: list[int], rows: int) -> Places:
    shard, index = (
        stored_values(columns, f"{field}/{name}", np.dtype(np.int32), rows) for name in ("shard", "index")
    )
    if rows and (shard.min() < 0 or shard.max() >= len(sizes)):
        raise ValueError(f"a row of {field} in a shard that is not listed")
    if rows and (index.min() < 0 or np.any(index >= np.array(sizes)[shard])):
        raise ValueError(f"a row of {field} beyond the end of its shard")
    return Places(shard, index)


def check_file(folder: Path, file: str, size: int, xxh3: str, stamps: Stamps | None = None) -> None:
    """Stop unless a file of the folder has the size and the checksum expected of it.

    Args:
        folder: The cache's folder.
        file: The file's path in it.
        size: The bytes it must have.
        xxh3: The checksum it must have.
        stamps: Checksums remembered; without them every byte is read.

    Raises:
        DamagedError: It has not.
        DiskError: It cannot be read.
    """
    path = folder / file
    got = None
    with disk_errors(path):
        if not is_plain(path):
            got = "a link" if path.is_symlink() else "no such file"
        elif path.stat().st_size != size:
            got = f"{path.stat().st_size} bytes"
    if got is None:
        checksum = stamps.checksum(path) if stamps else file_checksum(path)
        got = None if checksum == xxh3 else f"checksum {checksum}"
    if got is not None:
        raise DamagedError(
            path, expected=f"{size} bytes with checksum {xxh3}", got=got, remedy=repair_hint(folder)
        )
