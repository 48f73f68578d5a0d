"""Ragged columns in Zarr v3 stores, zipped into one file: a group a column with `offsets` and `values`.

A zip keeps an uncompressed chunk as it is, so reading goes through the mapping of the file. One file a shard
is renamed whole, hashed and pushed like those of the other backends; `zarr.storage.ZipStore` reads it.
Archives hold chunks compressed with zstd, and are unpacked into memory when opened.
"""

import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BytesCodec, ZstdCodec
from zarr.storage import MemoryStore, ZipStore

from pipeline.cache.mapping import ALIGNMENT, ARCHIVE_CHUNK, array_at, check_claim, map_bytes
from pipeline.cache.ragged import Ragged
from pipeline.errors import CacheError, DamagedError

_ORDER = "columns"
_METADATA = "metadata"

# A zip's local header: what follows its 30 bytes are a name and extra bytes of these lengths.
_LOCAL = struct.Struct("<26xHH")
_LOCAL_BYTES = 30
# An extra field of a zip: an id that no reader knows, and a length.
_PADDING = struct.Struct("<HH")
_PADDING_ID = 0xCB00

_Starts = Mapping[str, int]


class ZarrBackend:
    """Zipped Zarr v3 stores.

    Args:
        archive: Whether to write compressed chunks; both kinds are read.
    """

    def __init__(self, *, archive: bool = False) -> None:
        self.suffix = ".zarrzst" if archive else ".zarr"
        self.mapped = not archive

    def write(self, path: Path, columns: Mapping[str, Ragged], metadata: Mapping[str, str]) -> None:
        """Write a new file; equal columns and metadata give equal bytes."""
        if path.exists():
            raise CacheError(path, expected="no file", got="one", remedy="write under another name")
        store: dict[str, Any] = {}
        attributes: dict[str, Any] = {_ORDER: list(columns), _METADATA: dict(sorted(metadata.items()))}
        group = zarr.open_group(MemoryStore(store), mode="w", zarr_format=3, attributes=attributes)
        for name, column in columns.items():
            for part, array in (("offsets", column.offsets), ("values", column.values)):
                self._create(group, f"column/{name}/{part}", array)
        # Not zarr's own zip store: that writes the time of day into the file.
        with zipfile.ZipFile(path, "x") as file:
            for key in sorted(store):
                _append(file, key, store[key].as_numpy_array())

    def _create(self, group: zarr.Group, name: str, array: np.ndarray) -> None:
        whole = max(len(array), 1)
        created = group.create_array(
            name,
            shape=array.shape,
            dtype=array.dtype,
            chunks=(whole if self.mapped else min(whole, ARCHIVE_CHUNK // array.itemsize),),
            filters=None,
            compressors=None if self.mapped else ZstdCodec(level=3),
            # A chunk of zeros is left out otherwise.
            config={"write_empty_chunks": True},
        )
        if len(array):
            created[:] = np.ascontiguousarray(array)

    def open(self, path: Path) -> tuple[dict[str, Ragged], dict[str, str]]:
        """The columns, mapped or unpacked, and the metadata of the file at `path`."""
        try:
            mapped = map_bytes(path)
            with zipfile.ZipFile(path) as file:
                starts = {info.filename: _start(info, mapped) for info in file.infolist()}
            with ZipStore(path, mode="r") as store:
                group = zarr.open_group(store, mode="r", zarr_format=3)
                attributes: dict[str, Any] = group.attrs.asdict()
                columns = {name: _column(group, name, starts, mapped) for name in attributes[_ORDER]}
                metadata = {key: str(value) for key, value in attributes[_METADATA].items()}
        # Two libraries parse bytes that may be anything: what they raise then is not written down.
        except Exception as error:
            raise DamagedError(
                path,
                expected="a zipped Zarr store with offsets and values of every column",
                got="no such file" if isinstance(error, FileNotFoundError) else str(error),
                remedy="write it again (a cache: coldbrew cache repair)",
            ) from error
        return columns, metadata


def archive() -> ZarrBackend:
    """Zipped Zarr v3 stores with compressed chunks."""
    return ZarrBackend(archive=True)


def _append(file: zipfile.ZipFile, name: str, data: np.ndarray) -> None:
    """Add a member whose bytes begin at a multiple of the alignment."""
    member = zipfile.ZipInfo(name)  # dated 1980: equal stores are equal bytes
    assert file.fp is not None, "open for writing"
    start = file.fp.tell() + _LOCAL_BYTES + len(name.encode()) + _PADDING.size
    padding = -start % ALIGNMENT
    member.extra = _PADDING.pack(_PADDING_ID, padding) + bytes(padding)
    member.file_size = data.nbytes
    with file.open(member, "w") as target:
        target.write(np.ascontiguousarray(data).data.cast("B"))


def _start(member: zipfile.ZipInfo, mapped: np.ndarray) -> int:
    """Where the bytes of a member begin."""
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{member.filename} is compressed by the zip")
    name, extra = _LOCAL.unpack_from(mapped.data, member.header_offset)
    return int(member.header_offset + _LOCAL_BYTES + name + extra)


def _column(group: zarr.Group, name: str, starts: _Starts, mapped: np.ndarray) -> Ragged:
    return Ragged(
        _array(group, f"column/{name}/values", starts, mapped),
        _array(group, f"column/{name}/offsets", starts, mapped),
    )


def _array(group: zarr.Group, name: str, starts: _Starts, mapped: np.ndarray) -> np.ndarray:
    array = group[name]
    if not isinstance(array, zarr.Array) or array.ndim != 1:
        raise ValueError(f"{name} is not one axis of values")
    serializer = array.serializer
    if array.filters or not isinstance(serializer, BytesCodec):
        raise ValueError(f"{name} is stored with filters")
    if serializer.endian is not None and serializer.endian.value != "little":
        raise ValueError(f"{name} is not little-endian")
    count, dtype = array.shape[0], np.dtype(array.dtype)
    if not array.compressors and array.chunks == (max(count, 1),):
        return array_at(mapped, starts.get(f"{name}/c/0"), count, dtype)
    check_claim(count, dtype)
    # Zarr makes up the values of chunks that are not there.
    if sum(member.startswith(f"{name}/c/") for member in starts) != array.nchunks:
        raise ValueError(f"{name} lacks chunks")
    unpacked: Any = array[:]
    return np.asarray(unpacked)
