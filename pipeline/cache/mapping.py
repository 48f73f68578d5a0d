"""Arrays mapped out of a file at a known place, whatever the format around them."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

# Backends start every array at a multiple of this, so that each type can be read where it lies.
ALIGNMENT = 64

# Bytes of values that an archive compresses together.
ARCHIVE_CHUNK = 2**20

# No array of a shard comes near this; one that claims more is not unpacked.
_LARGEST = 2**32

COLUMN_DTYPES = frozenset(
    np.dtype(name) for name in ("uint8", "uint16", "int8", "int32", "int64", "float16", "float32")
)


def map_bytes(path: Path) -> UInt8[np.ndarray, " bytes"]:
    """A file's bytes, mapped for reading.

    Raises:
        OSError: There is no such file.
        ValueError: It is empty.
    """
    # The mapping lives as long as an array on it, and holds no descriptor.
    return np.memmap(path, np.uint8, mode="r").view(np.ndarray)


def array_at(file: UInt8[np.ndarray, " bytes"], start: int | None, count: int, dtype: np.dtype) -> np.ndarray:
    """The `count` values that begin `start` bytes into a mapped file; `start` is None where there are none.

    Raises:
        ValueError: They do not lie in the file, aligned, or are of a type that no column has.
    """
    if dtype not in COLUMN_DTYPES:
        raise ValueError(f"values of type {dtype}")
    if count == 0:
        return np.empty(0, dtype)
    if start is None or start < 0 or count < 0 or start + count * dtype.itemsize > len(file):
        raise ValueError(f"{count} values of {dtype} at {start} in a file of {len(file)} bytes")
    if start % dtype.itemsize:
        raise ValueError(f"values of {dtype} at {start}, which is no multiple of their size")
    return file[start : start + count * dtype.itemsize].view(dtype)


def check_claim(count: int, dtype: np.dtype) -> None:
    """Stop before memory is taken for values that a compressed file only claims to hold.

    Raises:
        ValueError: They are more than any shard has, or of a type that no column has.
    """
    if dtype not in COLUMN_DTYPES or not 0 <= count * dtype.itemsize <= _LARGEST:
        raise ValueError(f"{count} values of {dtype}")
