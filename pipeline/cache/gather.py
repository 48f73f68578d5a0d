"""Batches out of mapped columns: one compiled pass copies rows into a zero-padded array.

numba has no float16 on a CPU, so everything is bytes here; types exist only in the arrays handed out.
"""

from collections.abc import Sequence
from typing import no_type_check

import numpy as np
from jaxtyping import Int64
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from pipeline.cache.ragged import Ragged

_BYTE = ir.IntType(8)
_WORD = ir.IntType(64)


@intrinsic
@no_type_check
def _load_int64(typing_context, address):
    """The int64 at a memory address."""

    def generate(context, builder, signature, arguments):
        return builder.load(builder.inttoptr(arguments[0], _WORD.as_pointer()))

    return types.int64(types.uint64), generate


@intrinsic
@no_type_check
def _copy_bytes(typing_context, target, source, count):
    """Copy `count` bytes from one memory address to another."""

    def generate(context, builder, signature, arguments):
        target, source, count = arguments
        pointer = _BYTE.as_pointer()
        copy = builder.module.declare_intrinsic("llvm.memcpy", [pointer, pointer, _WORD])
        volatile = ir.Constant(ir.IntType(1), 0)
        addresses = [builder.inttoptr(address, pointer) for address in (target, source)]
        builder.call(copy, [*addresses, count, volatile])
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64, types.int64), generate


@njit(
    "void(int64[::1], int64[::1], uint64[::1], uint64[::1], int64, uint64[::1], int64[::1])",
    nogil=True,
    cache=True,
)
@no_type_check
def _locate(indices, bounds, offsets, values, itemsize, address, count):
    """Where each row begins in memory, and how many values it has.

    `bounds` are the first rows of the parts; `offsets` and `values` the addresses of their arrays.
    """
    for at in range(len(indices)):
        row = indices[at]
        low, high = 0, len(bounds) - 1
        while high - low > 1:
            middle = (low + high) // 2
            if bounds[middle] <= row:
                low = middle
            else:
                high = middle
        # Parts without rows share their bound with the next one; the search ends at the last of them.
        entry = offsets[low] + np.uint64(8 * (row - bounds[low]))
        start = _load_int64(entry)
        address[at] = values[low] + np.uint64(start * itemsize)
        count[at] = _load_int64(entry + np.uint64(8)) - start


@njit("void(uint64[::1], int64[::1], int64[::1], int64, uint8[:, :, ::1])", nogil=True, cache=True)
@no_type_check
def copy_rows(address, outer, inner, itemsize, out):
    """Copy rows of `outer` x `inner` values from memory into `out`, [rows, P, Q bytes], zeros elsewhere.

    The addresses are followed as they are: the caller answers for them.
    """
    rows, height, width = out.shape
    base = out.ctypes.data
    for at in range(rows):
        line = inner[at] * itemsize
        target = np.uint64(base + at * height * width)
        source = address[at]
        if line == width:
            _copy_bytes(target, source, outer[at] * line)
        else:
            for step in range(outer[at]):
                _copy_bytes(target + np.uint64(step * width), source + np.uint64(step * line), line)
                out[at, step, line:] = 0
        out[at, outer[at] :, :] = 0


class ColumnReader:
    """One column, over one or many mapped parts, read in any order.

    Args:
        parts: The parts; row indices run through them in order.
        width: The last extent of every row; 1 for rows with one axis.

    Raises:
        ValueError: There is no part, or parts are of differing types.
    """

    def __init__(self, parts: Sequence[Ragged], *, width: int = 1) -> None:
        kinds = {part.values.dtype for part in parts}
        if len(kinds) != 1:
            raise ValueError(f"one type in all parts, not {sorted(map(str, kinds))}")
        self.dtype = kinds.pop()
        self.width = width
        self._parts = tuple(parts)  # keeps the mappings alive
        self._bounds = np.cumsum([0, *(len(part) for part in parts)], dtype=np.int64)
        self._offsets = np.array([part.offsets.ctypes.data for part in parts], np.uint64)
        self._values = np.array([part.values.ctypes.data for part in parts], np.uint64)

    def __len__(self) -> int:
        return int(self._bounds[-1])

    def lengths(self, indices: Int64[np.ndarray, " batch"]) -> Int64[np.ndarray, " batch"]:
        """The first extent of each row.

        Raises:
            IndexError: There is no such row.
        """
        return self._locate(indices)[1] // self.width

    def padded(
        self, indices: Int64[np.ndarray, " batch"], widths: Int64[np.ndarray, " batch"] | None = None
    ) -> np.ndarray:
        """The rows as one array with zeros where a row ends: [batch, length], or [batch, length, width].

        Args:
            indices: The rows wanted.
            widths: The last extent of each row, where it is not the same for all.

        Raises:
            IndexError: There is no such row.
            ValueError: A row is not a whole number of lines of its width.
        """
        address, count = self._locate(indices)
        inner = np.full(len(indices), self.width, np.int64) if widths is None else widths
        outer = count // np.maximum(inner, 1)
        if np.any(outer * inner != count):
            at = int(np.argmax(outer * inner != count))
            raise ValueError(
                f"row {indices[at]} has {count[at]} values, which lines of {inner[at]} do not divide"
            )
        height = int(outer.max(initial=0))
        width = int(inner.max(initial=0)) if widths is not None else self.width
        out = np.empty((len(indices), height, width), self.dtype)
        if out.size:
            copy_rows(address, outer, inner, self.dtype.itemsize, out.view(np.uint8))
        return out.reshape(len(indices), height) if widths is None and self.width == 1 else out

    def _locate(self, indices: Int64[np.ndarray, " batch"]) -> tuple[np.ndarray, np.ndarray]:
        if len(indices) and not (indices.min() >= 0 and indices.max() < len(self)):
            raise IndexError(f"rows {indices.min()} to {indices.max()} of {len(self)}")
        address = np.empty(len(indices), np.uint64)
        count = np.empty(len(indices), np.int64)
        _locate(
            np.ascontiguousarray(indices),
            self._bounds,
            self._offsets,
            self._values,
            self.dtype.itemsize,
            address,
            count,
        )
        return address, count
