"""How fast a disk reads what memory does not hold."""

import os
import secrets
import time
from pathlib import Path

from pipeline.files import TEMPORARY

_BYTES = 64 * 2**20
_PIECE = 2**20


def disk_rate(folder: Path, *, size: int = _BYTES) -> float:
    """Bytes a second at which the disk under `folder` is read, measured on a file of random bytes.

    The file is written, dropped from the page cache, read once and removed. Where a system cannot drop it,
    the rate is that of memory.

    Args:
        folder: A folder, or one to be: its nearest parent that is there counts.
        size: Bytes to read.
    """
    place = folder.absolute()
    while not place.is_dir():
        place = place.parent
    path = place / f".disk-rate-{os.getpid()}{TEMPORARY}"
    piece = secrets.token_bytes(_PIECE)
    try:
        with path.open("wb", buffering=0) as file:
            for _ in range(max(size // _PIECE, 1)):
                file.write(piece)
            os.fsync(file.fileno())
        with path.open("rb", buffering=0) as file:
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            started = time.perf_counter()
            total = 0
            while read := file.read(_PIECE):
                total += len(read)
            return total / max(time.perf_counter() - started, 1e-9)
    finally:
        path.unlink(missing_ok=True)
