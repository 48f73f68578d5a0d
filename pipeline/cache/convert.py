"""A cache in another kind of file: the same rows, keys and values, so the same identity."""

from collections.abc import Callable
from pathlib import Path

from pipeline.cache import BACKENDS
from pipeline.cache.checksum import file_checksum
from pipeline.cache.layout import PROVENANCE, ROWS, files_in, is_temporary, refuse_foreign, shard_name
from pipeline.cache.lock import locked
from pipeline.cache.manifest import Manifest, ShardEntry, load_manifest
from pipeline.cache.provenance import next_provenance
from pipeline.cache.ragged import Backend
from pipeline.cache.seal import write_sealed
from pipeline.cache.shard import store
from pipeline.cache.stamps import Stamps
from pipeline.cache.stored_rows import check_file
from pipeline.errors import CacheError
from pipeline.files import new_file, write_text


def convert(
    source: Path,
    target: Path,
    backend: str,
    *,
    wait: bool = False,
    advance: Callable[[int], None] | None = None,
) -> Manifest:
    """Write the cache at `source` again, with another backend, loss-free and with its keys kept.

    What a run that was cut off has written is not written again. Shards in which no row lies stay behind.

    Args:
        source: A sealed cache.
        target: A folder that does not exist, or that an earlier run of the same began.
        backend: The kind of shard files.
        wait: Whether to wait for another process that writes `target`, instead of refusing.
        advance: Told how many more shards are done.

    Raises:
        CacheError: There is no cache at `source`, or `target` holds something else.
        DamagedError: A file of `source` is not as it was written.
        ParamsError: There is no such backend.
    """
    writer: Backend = BACKENDS.load(backend)()
    manifest = load_manifest(source)
    reader: Backend = BACKENDS.load(manifest.backend)()
    if source.resolve() == target.resolve():
        raise CacheError(
            target, expected="a new folder", got="the source itself", remedy="name another folder"
        )
    with locked(target, wait=wait):
        refuse_foreign(target)
        there = _shards_there(target, writer, manifest)
        stamps = Stamps(source)
        fields = {}
        for name, field in manifest.fields.items():
            shards = []
            for shard in field.shards:
                file = there.get((name, shard.key))
                if file is None:
                    check_file(source, shard.file, shard.bytes, shard.xxh3, stamps)
                    columns, metadata = reader.open(source / shard.file)
                    file = store(target, writer, name, shard.key, columns, metadata)
                shards.append(_entry(target, file, shard))
                if advance is not None:
                    advance(1)
            fields[name] = field.model_copy(update={"shards": shards})
        stamps.save()
        check_file(source, ROWS, manifest.rows.bytes, manifest.rows.xxh3)
        with new_file(target / ROWS) as temporary:
            temporary.write_bytes((source / ROWS).read_bytes())
        write_text(target / PROVENANCE, next_provenance(source, {"converted_to": backend}))
        converted = manifest.model_copy(update={"backend": backend, "fields": fields, "unreferenced": []})
        write_sealed(target, converted)
    return converted


def _shards_there(target: Path, writer: Backend, manifest: Manifest) -> dict[tuple[str, str], str]:
    """The whole shards of a run that was cut off, by field and key; the broken ones it left are removed."""
    wanted = {(name, shard.key) for name, field in manifest.fields.items() for shard in field.shards}
    named = {file: shard_name(file) for file in files_in(target)}
    shards = {file: name for file, name in named.items() if name is not None}
    for file, name in shards.items():
        if (name.field, name.key) not in wanted or name.suffix != writer.suffix:
            raise CacheError(
                target / file,
                expected="a new folder, or what an earlier run of the same conversion left",
                got="a shard of another cache or kind",
                remedy="name another folder, or remove this one (coldbrew cache rm)",
            )
    whole = {file for file, name in shards.items() if file_checksum(target / file) == name.xxh3}
    for file in named:
        if is_temporary(file) or (file in shards and file not in whole):
            (target / file).unlink()
    return {(shards[file].field, shards[file].key): file for file in whole}


def _entry(target: Path, file: str, shard: ShardEntry) -> ShardEntry:
    name = shard_name(file)
    assert name is not None, "a name that `store` made"
    size = (target / file).stat().st_size
    return shard.model_copy(update={"file": file, "bytes": size, "xxh3": name.xxh3})
