"""One writer a cache: a lock in a file beside the folder, which the system frees when its holder dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import LockedError
from pipeline.files import disk_errors, is_full


@contextmanager
def locked(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the cache at `folder` for writing.

    Args:
        folder: The cache's folder, which need not exist.
        wait: Whether to wait for another holder instead of refusing.

    Raises:
        LockedError: Another process holds it.
        DiskError: The disk refuses the lock, or a change of the cache's files while it was held.
    """
    file = folder.with_name(f"{folder.name}.lock")
    with disk_errors(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            raise LockedError(
                folder,
                expected="no other run that writes this cache",
                got=f"process {holder} at it",
                remedy="wait for it to end, or tell this run to wait",
            ) from error
        with disk_errors(file):
            _note_holder(descriptor)
        with _own_disk_errors(folder):
            yield
    finally:
        # Closing frees the lock. The file stays: removing it would let two holders in.
        os.close(descriptor)


def _note_holder(descriptor: int) -> None:
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:
        # The note is for messages alone: a full disk must not keep off who comes to free it.
        if not is_full(error):
            raise


@contextmanager
def _own_disk_errors(folder: Path) -> Iterator[None]:
    """Name what the disk refuses of the cache's files; what else fails meanwhile is another's to name."""
    try:
        yield
    except OSError as error:
        if error.filename is None or not Path(os.fsdecode(error.filename)).is_relative_to(folder):
            raise
        with disk_errors(Path(os.fsdecode(error.filename))):
            raise
