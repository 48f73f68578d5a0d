"""Names in a cache's folder."""

import os
import re
import stat
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.errors import CacheError
from pipeline.files import TEMPORARY, disk_errors

MANIFEST = "manifest.json"
SEAL = "seal.json"
ROWS: Final = "rows.arrow"
PROVENANCE = "provenance.jsonl"
SHARDS = "shards"
TOP_FILES = frozenset({MANIFEST, SEAL, ROWS, PROVENANCE})

SHARD_PATTERN = r"shards/[a-z0-9_]+/[0-9a-f]{32}-[0-9a-f]{16}\.[a-z0-9]+"
_SHARD = re.compile(r"shards/([a-z0-9_]+)/([0-9a-f]{32})-([0-9a-f]{16})(\.[a-z0-9]+)")


def shard_file(field: str, key: str, xxh3: str, suffix: str) -> str:
    """The path of a shard in the folder."""
    return f"shards/{field}/{key}-{xxh3}{suffix}"


class ShardName(NamedTuple):
    """What the path of a shard says."""

    field: str
    key: str
    xxh3: str
    suffix: str


def shard_name(file: str) -> ShardName | None:
    """What a path in the folder says of a shard; None where it is no shard's."""
    match = _SHARD.fullmatch(file)
    return ShardName(*match.groups()) if match else None


def files_in(folder: Path) -> list[str]:
    """All files in the folder and below, by their path in it, sorted; a link counts as a file.

    Raises:
        DiskError: A folder cannot be read.
    """

    def unreadable(error: OSError) -> None:
        # A folder that is not there has no files.
        if not isinstance(error, FileNotFoundError):
            raise error

    found = []
    with disk_errors(folder):
        for parent, folders, files in os.walk(folder, onerror=unreadable):
            links = [name for name in folders if (Path(parent) / name).is_symlink()]
            found += [(Path(parent) / name).relative_to(folder).as_posix() for name in [*files, *links]]
    return sorted(found)


def is_temporary(file: str) -> bool:
    """Whether this is what a killed writer left behind."""
    name = file.rsplit("/", 1)[-1]
    return name.startswith(".") and name.endswith(TEMPORARY)


def is_ours(folder: Path, file: str) -> bool:
    """Whether a cache has a file of this name, and it is a plain file."""
    named = file in TOP_FILES or shard_name(file) is not None
    return named and is_plain(folder / file)


def is_plain(path: Path) -> bool:
    """Whether there is a file and neither a link, nor a pipe or a device, which could be read for ever."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def refuse_foreign(folder: Path) -> None:
    """Stop where the folder holds something that no cache has.

    Raises:
        CacheError: It does.
    """
    foreign = [file for file in files_in(folder) if not is_ours(folder, file) and not is_temporary(file)]
    if foreign:
        raise CacheError(
            folder / foreign[0],
            expected="nothing but the cache's own files in its folder",
            got=f"an unknown file, one of {len(foreign)}" if len(foreign) > 1 else "an unknown file",
            remedy="move it out of the folder",
        )
