"""Checksums of files: against accidents, not against malice."""

from collections.abc import Callable
from pathlib import Path

import xxhash

from pipeline.files import disk_errors

_PIECE = 8 * 2**20


def bytes_checksum(data: bytes) -> str:
    """The xxh3 (64 bits) of `data`, in hex."""
    return xxhash.xxh3_64_hexdigest(data)


def file_checksum(path: Path) -> str:
    """The xxh3 (64 bits) of a file's bytes, in hex.

    Raises:
        DiskError: It cannot be read.
    """
    with disk_errors(path), path.open("rb", buffering=0) as file:
        return stream_checksum(file.read)


def stream_checksum(read: Callable[[int], bytes]) -> str:
    """The xxh3 (64 bits), in hex, of all bytes that `read` gives, asked for so many at a time."""
    state = xxhash.xxh3_64()
    while piece := read(_PIECE):
        state.update(piece)
    return state.hexdigest()
