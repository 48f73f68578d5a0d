"""One shard: a file that says itself what it is made of, named after its key and its checksum."""

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from pipeline import fingerprint
from pipeline.cache.checksum import file_checksum
from pipeline.cache.encoding import EncodingError
from pipeline.cache.layout import SHARDS, shard_file, shard_name
from pipeline.cache.ragged import Backend, Ragged
from pipeline.cache.settings import CacheSettings, shard_key
from pipeline.errors import DamagedError
from pipeline.files import TEMPORARY, disk_errors, new_file, sync_folder

INPUT_HASH = "input_hash"


@dataclass(frozen=True)
class Shard:
    """A whole shard on disk.

    Args:
        file: Its path in the cache's folder.
        field: The field it belongs to.
        key: What its values are made of.
        xxh3: The checksum of its bytes.
        bytes: Its size.
        covers: The fingerprint of the settings it was made with.
        block: Rows that the teacher was given at a time.
        hashes: Its inputs, in order.
        errors: The encoding error of each floating column.
    """

    file: str
    field: str
    key: str
    xxh3: str
    bytes: int
    covers: str
    block: int
    hashes: UInt8[np.ndarray, "rows 16"]
    errors: Mapping[str, EncodingError]


def write_shard(
    folder: Path,
    backend: Backend,
    settings: CacheSettings,
    *,
    field: str,
    block: int,
    hashes: UInt8[np.ndarray, "rows 16"],
    columns: Mapping[str, Ragged],
    errors: Mapping[str, EncodingError],
) -> None:
    """Write a shard, whole or not at all."""
    key = shard_key(settings.fingerprint(field), block, hashes)
    metadata = {
        "covers": json.dumps(settings.covers(field), sort_keys=True, ensure_ascii=False),
        "block": str(block),
        "errors": json.dumps({name: errors[name].sums() for name in sorted(errors)}),
    }
    store(folder, backend, field, key, {INPUT_HASH: Ragged.of_equal(hashes), **columns}, metadata)


def store(
    folder: Path,
    backend: Backend,
    field: str,
    key: str,
    columns: Mapping[str, Ragged],
    metadata: Mapping[str, str],
) -> str:
    """Write a file of columns under the name of its key and checksum; one of that name is replaced.

    Returns:
        Its path in the folder.
    """
    place = folder / SHARDS / field
    # The name needs the checksum of the bytes, so the file has a name of its own until then; nobody else's,
    # should a cluster ever have two workers at one shard.
    unnamed = place / f".{key}.{secrets.token_hex(4)}{TEMPORARY}"
    with disk_errors(place):
        try:
            with new_file(unnamed) as temporary:
                backend.write(temporary, columns, metadata)
            file = shard_file(field, key, file_checksum(unnamed), backend.suffix)
            os.replace(unnamed, folder / file)
        finally:
            unnamed.unlink(missing_ok=True)
        sync_folder(place)
    return file


def open_shard(folder: Path, file: str, backend: Backend) -> tuple[Shard, dict[str, Ragged]]:
    """A shard and its columns, mapped. Its checksum is the caller's to check.

    Raises:
        DamagedError: What the file holds is not what its name says.
    """
    path = folder / file
    columns, metadata = backend.open(path)
    try:
        named = shard_name(file)
        if named is None:
            raise ValueError("a name without key and checksum")
        field, key, xxh3, _ = named
        if len({len(column) for column in columns.values()}) != 1:
            raise ValueError("columns of differing numbers of rows")
        hashes = columns.pop(INPUT_HASH)
        covered = json.loads(metadata["covers"])
        matrix = hashes.values.reshape(-1, fingerprint.HASH_BYTES)
        if hashes.values.dtype != np.uint8 or len(matrix) != len(hashes):
            raise ValueError("input hashes of other sizes")
        covers, block = fingerprint.settings(covered), int(metadata["block"])
        if covered["field"] != field or shard_key(covers, block, matrix) != key:
            raise ValueError("another key than the name has")
        errors = {name: EncodingError(**sums) for name, sums in json.loads(metadata["errors"]).items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedError(
            path,
            expected="a shard of its name's key",
            got=f"{type(error).__name__}: {error}",
            remedy=f"run `coldbrew cache repair {folder}`",
        ) from error
    shard = Shard(
        file=file,
        field=field,
        key=key,
        xxh3=xxh3,
        bytes=path.stat().st_size,
        covers=covers,
        block=block,
        hashes=matrix.copy(),
        errors=errors,
    )
    return shard, columns
