"""Ragged columns in Arrow IPC files: one record batch of large lists, mapped without a copy.

Archives hold buffers compressed with zstd, and are unpacked into memory when opened.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.cache.mapping import COLUMN_DTYPES
from pipeline.cache.ragged import Ragged
from pipeline.errors import CacheError, DamagedError

_DTYPES = {pa.from_numpy_dtype(dtype): dtype for dtype in COLUMN_DTYPES}


class ArrowBackend:
    """Arrow IPC files.

    Args:
        archive: Whether to write compressed buffers; both kinds are read.
    """

    def __init__(self, *, archive: bool = False) -> None:
        self.suffix = ".arrowzst" if archive else ".arrow"
        self.mapped = not archive

    def write(self, path: Path, columns: Mapping[str, Ragged], metadata: Mapping[str, str]) -> None:
        """Write a new file; equal columns and metadata give equal bytes."""
        if path.exists():
            raise CacheError(path, expected="no file", got="one", remedy="write under another name")
        types = {name: _list_type(column.values.dtype) for name, column in columns.items()}
        schema = pa.schema(
            [pa.field(name, kind, nullable=False) for name, kind in types.items()],
            metadata=dict(sorted(metadata.items())),
        )
        batch = pa.RecordBatch.from_arrays(
            [_to_arrow(column, types[name]) for name, column in columns.items()], schema=schema
        )
        options = pa.ipc.IpcWriteOptions(compression=None if self.mapped else "zstd")
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema, options=options) as writer:
            writer.write_batch(batch)

    def open(self, path: Path) -> tuple[dict[str, Ragged], dict[str, str]]:
        """The columns, mapped or unpacked, and the metadata of the file at `path`."""
        try:
            # The mapping outlives its file: the arrays hold it, and no descriptor stays open.
            with pa.memory_map(str(path)) as source:
                reader = pa.ipc.open_file(source)
                if reader.num_record_batches != 1:
                    raise ValueError(f"{reader.num_record_batches} record batches")
                batch = reader.get_batch(0)
            columns = {
                field.name: _from_arrow(batch.column(at), field.type) for at, field in enumerate(batch.schema)
            }
            metadata = {key.decode(): value.decode() for key, value in (batch.schema.metadata or {}).items()}
        except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
            raise DamagedError(
                path,
                expected="an Arrow file with one record batch of large lists",
                got="no such file" if isinstance(error, FileNotFoundError) else str(error),
                remedy="write it again (a cache: coldbrew cache repair)",
            ) from error
        return columns, metadata


def archive() -> ArrowBackend:
    """Arrow IPC files with compressed buffers."""
    return ArrowBackend(archive=True)


def _list_type(dtype: np.dtype) -> pa.DataType:
    return pa.large_list(pa.field("item", pa.from_numpy_dtype(dtype), nullable=False))


def _to_arrow(column: Ragged, kind: pa.DataType) -> pa.Array:
    values = pa.Array.from_buffers(
        kind.value_type, len(column.values), [None, pa.py_buffer(np.ascontiguousarray(column.values))]
    )
    return pa.LargeListArray.from_arrays(pa.array(column.offsets), values, type=kind)


def _from_arrow(array: pa.Array, kind: pa.DataType) -> Ragged:
    if not pa.types.is_large_list(kind) or kind.value_type not in _DTYPES:
        raise ValueError(f"a column of type {kind}")
    # The buffers know their true sizes; the lengths that a file claims are not believed.
    validity, offsets, inner_validity, values = array.buffers()
    if validity is not None or inner_validity is not None:
        raise ValueError("a column with nulls")
    bounds = _mapped(offsets, np.dtype(np.int64), len(array) + 1)
    return Ragged(_mapped(values, _DTYPES[kind.value_type], int(bounds[-1])), bounds)


def _mapped(buffer: pa.Buffer | None, dtype: np.dtype, count: int) -> np.ndarray:
    if count == 0:
        return np.empty(0, dtype)
    if buffer is None or not 0 < count * dtype.itemsize <= buffer.size:
        raise ValueError(f"{count} values of {dtype} in a buffer of {buffer and buffer.size} bytes")
    return np.frombuffer(buffer, dtype, count)
