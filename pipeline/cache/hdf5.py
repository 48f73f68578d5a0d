"""Ragged columns in HDF5 files: a group a column with contiguous `values` and `offsets`, mapped in place.

HDF5 says where a contiguous data set lies in its file, so reading goes through the mapping, not the library.
Archives are chunked and compressed with zstd, and unpacked into memory when opened.
"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np

from pipeline.cache.mapping import ALIGNMENT, ARCHIVE_CHUNK, array_at, check_claim, map_bytes
from pipeline.cache.ragged import Ragged
from pipeline.errors import CacheError, DamagedError

_ORDER = "columns"
_METADATA = "metadata"


class _Sink(io.RawIOBase):
    """The file that HDF5 writes; an error waits here until HDF5 has closed.

    HDF5 cannot close a file that the disk refuses: it keeps it open, says nothing, and ends the process with
    a crash at exit. So it is told that all went well, and the error is raised afterwards.
    """

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self.failure: OSError | None = None

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        return self._file.readinto(buffer) or 0

    def write(self, data: Any) -> int:
        left = memoryview(data).cast("B")
        whole = len(left)
        while len(left) and self.failure is None:
            try:
                left = left[self._file.write(left) :]
            except OSError as error:
                self.failure = error
        return whole

    def truncate(self, size: int | None = None) -> int:
        try:
            return self._file.truncate(size)
        except OSError as error:
            self.failure = self.failure or error
            return size or 0


class Hdf5Backend:
    """HDF5 files.

    Args:
        archive: Whether to write compressed data sets; both kinds are read.
    """

    def __init__(self, *, archive: bool = False) -> None:
        self.suffix = ".h5zst" if archive else ".h5"
        self.mapped = not archive

    def write(self, path: Path, columns: Mapping[str, Ragged], metadata: Mapping[str, str]) -> None:
        """Write a new file; equal columns and metadata give equal bytes."""
        if path.exists():
            raise CacheError(path, expected="no file", got="one", remedy="write under another name")
        with path.open("x+b", buffering=0) as unbuffered:
            sink = _Sink(unbuffered)
            with h5py.File(
                sink, "w", libver=("v110", "v110"), alignment_threshold=1, alignment_interval=ALIGNMENT
            ) as file:
                # HDF5 lists groups by name; the order of columns is kept beside them.
                self._create(file, _ORDER, _fixed("\n".join(columns)))
                for key in sorted(metadata):
                    # A data set, not an attribute: attributes stop at 64 KB.
                    self._create(file, f"{_METADATA}/{key}", _fixed(metadata[key]))
                for name, column in columns.items():
                    for part, array in (("offsets", column.offsets), ("values", column.values)):
                        self._create(file, f"column/{name}/{part}", np.ascontiguousarray(array))
            if sink.failure is not None:
                raise sink.failure

    def _create(self, file: h5py.File, name: str, array: np.ndarray) -> None:
        packing: dict[str, Any] = {}
        if not self.mapped and array.size > 1:
            chunk = min(len(array), ARCHIVE_CHUNK // array.itemsize)
            packing = {"chunks": (chunk,), "compression": hdf5plugin.Zstd()}
        file.create_dataset(name, data=array, track_times=False, **packing)

    def open(self, path: Path) -> tuple[dict[str, Ragged], dict[str, str]]:
        """The columns, mapped or unpacked, and the metadata of the file at `path`."""
        try:
            mapped = map_bytes(path)
            with h5py.File(path, "r", locking=False) as file:
                names = [name for name in _text(_inside(file, _ORDER), len(mapped)).split("\n") if name]
                columns = {name: self._column(_inside(file, f"column/{name}"), mapped) for name in names}
                keys = list(_inside(file, _METADATA)) if _METADATA in file else []
                metadata = {key: _text(_inside(file, f"{_METADATA}/{key}"), len(mapped)) for key in keys}
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError, MemoryError) as error:
            raise DamagedError(
                path,
                expected="an HDF5 file with offsets and values of every column",
                got="no such file" if isinstance(error, FileNotFoundError) else str(error),
                remedy="write it again (a cache: coldbrew cache repair)",
            ) from error
        return columns, metadata

    def _column(self, group: Any, mapped: np.ndarray) -> Ragged:
        return Ragged(
            self._array(_inside(group, "values"), mapped), self._array(_inside(group, "offsets"), mapped)
        )

    def _array(self, data: Any, mapped: np.ndarray) -> np.ndarray:
        # Values in other files are not followed.
        if data.ndim != 1 or data.external or data.is_virtual:
            raise ValueError(f"{data.name} is not one axis of values in this file")
        if data.chunks is None:
            return array_at(mapped, data.id.get_offset(), data.shape[0], data.dtype)
        check_claim(data.shape[0], data.dtype)
        # HDF5 makes up the values of chunks that are not there.
        if data.id.get_num_chunks() != -(-data.shape[0] // data.chunks[0]):
            raise ValueError(f"{data.name} lacks chunks")
        unpacked: np.ndarray = data[:]
        return unpacked


def archive() -> Hdf5Backend:
    """HDF5 files with compressed data sets."""
    return Hdf5Backend(archive=True)


def _fixed(text: str) -> np.ndarray:
    """UTF-8 of a known length: texts of no fixed length lie in a heap that HDF5 does not checksum."""
    data = text.encode()
    return np.array(data, h5py.string_dtype("utf-8", max(len(data), 1)))


def _inside(group: Any, name: str) -> Any:
    """What lies under a path in the file itself.

    Raises:
        ValueError: A link stands on the way: following it could open another file.
    """
    for part in name.split("/"):
        if not isinstance(group.get(part, getlink=True), h5py.HardLink):
            raise ValueError(f"{name} is a link or absent")
        group = group[part]
    return group


def _text(data: Any, most: int) -> str:
    """A text of at most `most` bytes, which is what the file has."""
    length = h5py.check_string_dtype(data.dtype).length
    if length is None or length > most or data.shape != ():
        raise ValueError(f"{data.name} is not one text of fixed length")
    return bytes(data[()]).decode()
