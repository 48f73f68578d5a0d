"""Giving back the disk that unreferenced shards take."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.cache.lock import locked
from pipeline.cache.manifest import LooseEntry, load_manifest
from pipeline.cache.seal import write_sealed
from pipeline.errors import DiskError
from pipeline.files import is_full


def gc(folder: Path, *, wait: bool = False) -> int:
    """Delete the shards that no row lies in any more.

    Args:
        folder: The cache's folder.
        wait: Whether to wait for another process that writes it, instead of refusing.

    Returns:
        The bytes freed.

    Raises:
        LockedError: Another process writes the cache.
        CacheError: There is no cache, or its manifest cannot be trusted.
        DiskError: The disk forbids it, or is full even without these shards.
    """
    with locked(folder, wait=wait):
        manifest = load_manifest(folder)
        loose = manifest.unreferenced
        if loose:
            without = manifest.model_copy(update={"unreferenced": []})
            try:
                # The manifest first: a run cut off here leaves files that the next fill lists again.
                write_sealed(folder, without)
            except DiskError as error:
                if not is_full(error.__cause__):
                    raise
                # No room for it before they are gone. A run cut off here leaves a manifest that lists files
                # which no student reads; `verify` names them until the next gc or fill.
                _delete(folder, loose)
                write_sealed(folder, without)
        _delete(folder, loose)
        return sum(entry.bytes for entry in loose)


def _delete(folder: Path, entries: Sequence[LooseEntry]) -> None:
    for entry in entries:
        (folder / entry.file).unlink(missing_ok=True)
