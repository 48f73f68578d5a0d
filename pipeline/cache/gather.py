"""Batches out of mapped columns: one compiled pass copies rows into a zero-padded array.

numba has no float16 on a CPU, so everything is bytes here; types exist only in the arrays handed out.
"""

from collections.abc import Sequence
from typing import NoReturn, no_type_check

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
    "UniTuple(int64, 3)"
    "(int64[:], int64[:], int64[::1], uint64[:, ::1], int64, int64, int64[:], int64[:, ::1])",
    nogil=True,
    cache=True,
)
@no_type_check
def _locate(indices, order, bounds, parts, itemsize, width, widths, found):
    """Fill in `found`: of each row its address in memory and its two extents.

    `order`, where it is not empty, says which row of the parts an index means. `bounds` are the first rows of
    the parts, `parts` the addresses of their offsets and of their values. A
    row's last extent is its own of `widths`, or `width` where that is empty. Returns the greatest extents,
    and the place of an index without a row, or of a row that its width does not divide; -1 for none.
    """
    tallest, widest = 0, 0
    for at in range(len(indices)):
        row = indices[at]
        if len(order):
            if row < 0 or row >= len(order):
                return tallest, widest, at
            row = order[row]
        if row < 0 or row >= bounds[-1]:
            return tallest, widest, at
        low, high = 0, len(bounds) - 1
        while high - low > 1:
            middle = (low + high) // 2
            if bounds[middle] <= row:
                low = middle
            else:
                high = middle
        # Parts without rows share their bound with the next one; the search ends at the last of them.
        entry = parts[0, low] + np.uint64(8 * (row - bounds[low]))
        start = _load_int64(entry)
        count = _load_int64(entry + np.uint64(8)) - start
        across = widths[at] if len(widths) else width
        down = count // across if across > 0 else 0
        if down * across != count or across < 0:
            return tallest, widest, at
        found[0, at] = np.int64(parts[1, low]) + start * itemsize
        found[1, at], found[2, at] = down, across
        tallest, widest = max(tallest, down), max(widest, across)
    return tallest, widest, -1


@njit("void(int64[:, ::1], int64, uint8[:, :, ::1])", nogil=True, cache=True)
@no_type_check
def _copy(found, itemsize, out):
    """Copy the rows of `found` into `out`, [rows, P, Q bytes], zeros elsewhere.

    The addresses are followed as they are: `_locate` and the offsets of a Ragged answer for them.
    """
    rows, height, width = out.shape
    base = out.ctypes.data
    for at in range(rows):
        outer = found[1, at]
        line = found[2, at] * itemsize
        target = np.uint64(base + at * height * width)
        source = np.uint64(found[0, at])
        if line == width:
            _copy_bytes(target, source, outer * line)
        else:
            for step in range(outer):
                _copy_bytes(target + np.uint64(step * width), source + np.uint64(step * line), line)
                out[at, step, line:] = 0
        out[at, outer:, :] = 0


_NONE = np.empty(0, np.int64)


class ColumnReader:
    """One column, over one or many mapped parts, read in any order.

    Args:
        parts: The parts; row indices run through them in order.
        width: The last extent of every row; 1 for rows with one axis.
        outer: The first extent of rows with three axes; None for the others.
        order: Of each row its place in the parts taken together, where that is not its index.

    Raises:
        ValueError: There is no part, or parts are of differing types.
    """

    def __init__(
        self,
        parts: Sequence[Ragged],
        *,
        width: int = 1,
        outer: int | None = None,
        order: Int64[np.ndarray, " rows"] | None = None,
    ) -> None:
        kinds = {part.values.dtype for part in parts}
        if len(kinds) != 1:
            raise ValueError(f"one type in all parts, not {sorted(map(str, kinds))}")
        self.dtype = kinds.pop()
        self.width = width
        self.outer = outer
        self._parts = tuple(parts)  # keeps the mappings alive
        self._bounds = np.cumsum([0, *(len(part) for part in parts)], dtype=np.int64)
        addresses = [[part.offsets.ctypes.data, part.values.ctypes.data] for part in parts]
        self._addresses = np.ascontiguousarray(np.array(addresses, np.uint64).T)

        self._order = _NONE if order is None else order

    def __len__(self) -> int:
        return len(self._order) or int(self._bounds[-1])

    def lengths(self, indices: Int64[np.ndarray, " batch"]) -> Int64[np.ndarray, " batch"]:
        """The first extent of each row that is not the same in all.

        Raises:
            IndexError: There is no such row.
        """
        found, _, _ = self._locate(indices, _NONE)
        extents: np.ndarray = found[1]
        return extents // (self.outer or 1)

    def padded(
        self, indices: Int64[np.ndarray, " batch"], widths: Int64[np.ndarray, " batch"] | None = None
    ) -> np.ndarray:
        """The rows as one array with zeros where a row ends.

        Its shape is [batch, length], [batch, length, width] or [batch, outer, length, width].

        Args:
            indices: The rows wanted.
            widths: The last extent of each row, where it is not the same for all.

        Raises:
            IndexError: There is no such row.
            ValueError: A row is not a whole number of lines of its width.
        """
        return self.gather(indices, widths)[0]

    def gather(
        self, indices: Int64[np.ndarray, " batch"], widths: Int64[np.ndarray, " batch"] | None = None
    ) -> tuple[np.ndarray, Int64[np.ndarray, " batch"]]:
        """As `padded`, and the first extent of each row that is not the same in all."""
        found, tallest, widest = self._locate(indices, _NONE if widths is None else widths)
        widest = widest if widths is not None else self.width
        if self.outer is not None:
            return self._planes(indices, found, tallest, widest, self.outer)
        shape = (len(indices), tallest, widest)
        out = np.empty(shape, self.dtype)
        if out.size:
            _copy(found, self.dtype.itemsize, out.view(np.uint8))
        one_axis = widths is None and self.width == 1
        return (out.reshape(shape[:2]) if one_axis else out), found[1]

    def _planes(
        self,
        indices: Int64[np.ndarray, " batch"],
        found: Int64[np.ndarray, "3 batch"],
        tallest: int,
        widest: int,
        outer: int,
    ) -> tuple[np.ndarray, Int64[np.ndarray, " batch"]]:
        """As `gather`, each row being `outer` planes one after the other: copied as rows of their own."""
        uneven = found[1] % outer != 0
        if uneven.any():
            self._refuse(int(indices[np.argmax(uneven)]), outer)
        heights = found[1] // outer
        shape = (len(indices), outer, tallest // outer, widest)
        if not np.prod(shape, dtype=object):
            return np.empty(shape, self.dtype), heights
        out = np.empty((len(indices) * outer, *shape[2:]), self.dtype)
        plane = heights * found[2] * self.dtype.itemsize
        address = found[0][:, None] + np.arange(outer) * plane[:, None]
        planes = np.stack([address.reshape(-1), np.repeat(heights, outer), np.repeat(found[2], outer)])
        _copy(np.ascontiguousarray(planes), self.dtype.itemsize, out.view(np.uint8))
        return out.reshape(shape), heights

    def _locate(
        self, indices: Int64[np.ndarray, " batch"], widths: Int64[np.ndarray, " widths"]
    ) -> tuple[Int64[np.ndarray, "3 batch"], int, int]:
        found = np.empty((3, len(indices)), np.int64)
        tallest, widest, bad = _locate(
            indices,
            self._order,
            self._bounds,
            self._addresses,
            self.dtype.itemsize,
            self.width,
            widths,
            found,
        )
        if bad >= 0:
            self._refuse(int(indices[bad]), int(widths[bad]) if len(widths) else self.width)
        return found, tallest, widest

    def _refuse(self, row: int, width: int) -> NoReturn:
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        raise ValueError(f"row {row} has a length that lines of {width} do not divide")
