"""Deleting a cache, or a field of one."""

from pathlib import Path

from pipeline.cache.fields import TOKENS
from pipeline.cache.layout import MANIFEST, SEAL, SHARDS, files_in, refuse_foreign
from pipeline.cache.lock import locked
from pipeline.cache.manifest import load_manifest
from pipeline.cache.seal import write_sealed
from pipeline.errors import CacheError


def remove(folder: Path, *, wait: bool = False) -> int:
    """Delete the cache at `folder`, whole or unfinished, with nothing but its own files.

    Args:
        folder: The cache's folder.
        wait: Whether to wait for another process that writes it, instead of refusing.

    Returns:
        The bytes freed.

    Raises:
        LockedError: Another process writes the cache.
        CacheError: There is no such folder, or files in it are not the cache's.
    """
    if not folder.is_dir():
        raise CacheError(folder, expected="a target cache", got="no such folder", remedy="check the path")
    with locked(folder, wait=wait):
        refuse_foreign(folder)
        files = files_in(folder)
        freed = sum((folder / file).lstat().st_size for file in files)
        # Without its manifest a cache is one that was never sealed: a run cut off here leaves no half of one.
        for file in sorted(files, key=lambda file: file not in (SEAL, MANIFEST)):
            (folder / file).unlink()
        folders = [folder / SHARDS, folder]
        for inner in [*(folder / SHARDS).glob("*"), *folders]:
            if inner.is_dir():
                inner.rmdir()
    return freed


def remove_field(folder: Path, field: str, *, wait: bool = False) -> int:
    """Delete one field of the cache at `folder`; arguments, result and errors as of `remove`."""
    with locked(folder, wait=wait):
        manifest = load_manifest(folder)
        known = sorted(manifest.fields.keys() - {TOKENS})
        if field not in known:
            raise CacheError(
                folder,
                expected=f"a field of the cache ({', '.join(known) or 'none'} may be removed)",
                got=repr(field),
                remedy="name a field that it has, or remove the whole cache",
            )
        entry = manifest.fields[field]
        kept = {name: other for name, other in manifest.fields.items() if name != field}
        # The manifest first: a run cut off here leaves shards that the next fill lists as unreferenced.
        write_sealed(folder, manifest.model_copy(update={"fields": kept}))
        for shard in entry.shards:
            (folder / shard.file).unlink(missing_ok=True)
    return sum(shard.bytes for shard in entry.shards)
