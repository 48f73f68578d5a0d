"""Giving back the disk that unreferenced shards take."""

from pathlib import Path

from pipeline.cache.lock import locked
from pipeline.cache.manifest import load_manifest
from pipeline.cache.seal import write_sealed


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
    """
    with locked(folder, wait=wait):
        manifest = load_manifest(folder)
        loose = manifest.unreferenced
        if loose:
            # The manifest first: a run cut off here leaves files that the next fill lists again.
            write_sealed(folder, manifest.model_copy(update={"unreferenced": []}))
        for entry in loose:
            (folder / entry.file).unlink(missing_ok=True)
        return sum(entry.bytes for entry in loose)
