"""Checksums remembered on this machine, so that a file is hashed once and not at every start."""

import contextlib
import os
import time
from pathlib import Path

from pipeline.cache.checksum import file_checksum
from pipeline.errors import DataError, DiskError
from pipeline.files import disk_errors, read_json, write_json
from pipeline.fingerprint import digest

# Clocks of file systems tick in milliseconds: a file touched this recently may change again unseen.
_TOO_RECENT_NS = 100_000_000

_HOME = "COLDBREW_CACHE"


class Stamps:
    """Checksums of files in one folder, kept while a file's inode, size and times stay.

    Args:
        folder: The cache's folder.
        trust: Whether checksums that were remembered count; if not, every file is hashed again.
    """

    def __init__(self, folder: Path, *, trust: bool = True) -> None:
        self._folder = folder
        self._file = _stamp_file(folder)
        self._known = _read(self._file) if trust else {}
        self._changed = False

    def checksum(self, path: Path) -> str:
        """The checksum of a file in the folder.

        Raises:
            DiskError: It cannot be read.
        """
        name = str(path.relative_to(self._folder))
        with disk_errors(path):
            before = path.stat()
        stamp = [before.st_dev, before.st_ino, before.st_size, before.st_mtime_ns, before.st_ctime_ns]
        known = self._known.get(name)
        if isinstance(known, list) and known[:-1] == stamp and isinstance(known[-1], str):
            return known[-1]
        checksum = file_checksum(path)
        if time.time_ns() - max(before.st_mtime_ns, before.st_ctime_ns) > _TOO_RECENT_NS:
            self._known[name] = [*stamp, checksum]
            self._changed = True
        return checksum

    def save(self) -> None:
        """Remember, where that is possible: without it the next start is slower, no less right."""
        if self._changed:
            with contextlib.suppress(OSError, DiskError):
                write_json(self._file, self._known)


def home() -> Path:
    """Where this user's remembered checksums and fetched caches lie."""
    return Path(os.environ.get(_HOME) or Path.home() / ".cache" / "coldbrew")


def _stamp_file(folder: Path) -> Path:
    return home() / "stamps" / f"{digest([str(folder.resolve())]).hex()}.json"


def _read(file: Path) -> dict[str, object]:
    try:
        known = read_json(file)
    except (DataError, OSError):
        return {}
    return known if isinstance(known, dict) else {}
