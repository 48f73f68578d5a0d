"""Batches out of mapped columns: one compiled pass copies rows of all columns into zero-padded arrays.

numba has no float16 on a CPU, so everything is bytes here; types exist only in the arrays handed out.
"""

from collections.abc import Sequence
from typing import NoReturn, no_type_check

import numpy as np
from jaxtyping import Int64, Shaped
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from pipeline.cache.ragged import Ragged
from pipeline.cache.readahead import announce, read_at_random

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


@intrinsic
@no_type_check
def _zero_bytes(typing_context, target, count):
    """Set `count` bytes at a memory address to 0."""

    def generate(context, builder, signature, arguments):
        target, count = arguments
        pointer = _BYTE.as_pointer()
        fill = builder.module.declare_intrinsic("llvm.memset", [pointer, _WORD])
        volatile = ir.Constant(ir.IntType(1), 0)
        builder.call(fill, [builder.inttoptr(target, pointer), ir.Constant(_BYTE, 0), count, volatile])
        return context.get_dummy_value()

    return types.void(types.uint64, types.int64), generate


@intrinsic
@no_type_check
def _prefetch(typing_context, address):
    """Ask for the memory at an address, without waiting for it."""

    def generate(context, builder, signature, arguments):
        pointer = _BYTE.as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer, ir.IntType(32), ir.IntType(32), ir.IntType(32)])
        function = builder.module.declare_intrinsic("llvm.prefetch", [pointer], kind)
        numbers = [ir.Constant(ir.IntType(32), value) for value in (0, 3, 1)]
        builder.call(function, [builder.inttoptr(arguments[0], pointer), *numbers])
        return context.get_dummy_value()

    return types.void(types.uint64), generate


# What the compiled code is told of a column, a line each of a table of int64.
_ORDER, _ROWS = 0, 1  # which row of the parts an index means: the address of an array, its length or -1
_BOUNDS, _PARTS = 2, 3  # the first rows of the parts and their end: an address; the number of parts
_OFFSETS, _VALUES = 4, 5  # addresses of arrays with the addresses of the parts' offsets and values
_ITEM_BYTES = 6
_WIDTH = 7  # the last extent; where rows differ in it, -1 - the line of `widths` that holds it
_OUTER = 8  # the first extent of rows with three axes, else 1
_FACTS = 9

_LINE = 64
_PREFETCHED = 512


@njit(
    "int64(int64[:], int64[:, ::1], int64[:, ::1], int64[:, :, ::1], int64[:, ::1])", nogil=True, cache=True
)
@no_type_check
def _locate(indices, table, widths, found, extents):
    """Fill in `found`: of each column and row its address in memory and its last two extents.

    `extents` receives the greatest of these of each column. Returns the first place without a row, or with a
    row that its extents do not divide: column * rows + place; -1 for none.
    """
    for column in range(len(table)):
        facts = table[column]
        order, bounds = np.uint64(facts[_ORDER]), np.uint64(facts[_BOUNDS])
        offsets, values = np.uint64(facts[_OFFSETS]), np.uint64(facts[_VALUES])
        end = _load_int64(bounds + np.uint64(8 * facts[_PARTS]))
        tallest, widest = 0, 0
        for at in range(len(indices)):
            if facts[_ROWS] >= 0 and 0 <= indices[at] < facts[_ROWS]:
                _prefetch(order + np.uint64(8 * indices[at]))
        for at in range(len(indices)):
            row = indices[at]
            if facts[_ROWS] >= 0:
                if row < 0 or row >= facts[_ROWS]:
                    return column * len(indices) + at
                row = _load_int64(order + np.uint64(8 * row))
            if row < 0 or row >= end:
                return column * len(indices) + at
            low, left = 0, facts[_PARTS]
            while left > 1:
                half = left // 2
                low = low + half if _load_int64(bounds + np.uint64(8 * (low + half))) <= row else low
                left -= half
            part = np.uint64(8 * low)
            entry = np.uint64(_load_int64(offsets + part)) + np.uint64(8 * (row - _load_int64(bounds + part)))
            _prefetch(entry)
            found[column, 0, at] = np.int64(entry)
            found[column, 1, at] = low
        for at in range(len(indices)):
            entry = np.uint64(found[column, 0, at])
            part = np.uint64(8 * found[column, 1, at])
            start = _load_int64(entry)
            count = _load_int64(entry + np.uint64(8)) - start
            across = facts[_WIDTH] if facts[_WIDTH] >= 0 else widths[-1 - facts[_WIDTH], at]
            line = across * facts[_OUTER]
            down = count // line if line > 0 else 0
            if down * line != count or across < 0:
                return column * len(indices) + at
            address = _load_int64(values + part) + start * facts[_ITEM_BYTES]
            # What comes after these, the processor asks for itself.
            for ahead in range(0, min(count * facts[_ITEM_BYTES], _PREFETCHED), _LINE):
                _prefetch(np.uint64(address + ahead))
            found[column, 0, at] = address
            found[column, 1, at], found[column, 2, at] = down, across
            tallest, widest = max(tallest, down), max(widest, across)
        extents[column, 0] = tallest
        extents[column, 1] = facts[_WIDTH] if facts[_WIDTH] >= 0 else widest
    return -1


@njit("void(int64[:, :, ::1], int64[:, ::1], int64[:, ::1], int64[::1], uint8[::1])", nogil=True, cache=True)
@no_type_check
def _copy(found, extents, table, starts, out):
    """Copy the rows of `found` into `out`, each column from its place of `starts` on, zeros where a row ends.

    The addresses are followed as they are: `_locate` and the offsets of a Ragged answer for them.
    """
    for column in range(len(table)):
        item, outer = table[column, _ITEM_BYTES], table[column, _OUTER]
        height, width = extents[column, 0], extents[column, 1] * item
        target = np.uint64(out.ctypes.data + starts[column])
        for at in range(found.shape[2]):
            source = np.uint64(found[column, 0, at])
            down, line = found[column, 1, at], found[column, 2, at] * item
            for _ in range(outer):
                if line == width:
                    _copy_bytes(target, source, down * line)
                else:
                    for step in range(down):
                        to = target + np.uint64(step * width)
                        _copy_bytes(to, source + np.uint64(step * line), line)
                        _zero_bytes(to + np.uint64(line), width - line)
                _zero_bytes(target + np.uint64(down * width), (height - down) * width)
                source += np.uint64(down * line)
                target += np.uint64(height * width)


# Columns of a batch share one allocation; each begins where every type is aligned.
_ALIGNMENT = 64
NO_WIDTHS = np.empty((0, 0), np.int64)


class ColumnReader:
    """One column, over one or many mapped parts, read in any order.

    Args:
        parts: The parts; row indices run through them in order.
        width: The last extent of every row; None for rows with one axis.
        outer: The first extent of rows with three axes; None for the others.
        order: Of each row its place in the parts taken together, where that is not its index.

    Raises:
        ValueError: There is no part, or parts are of differing types.
    """

    def __init__(
        self,
        parts: Sequence[Ragged],
        *,
        width: int | None = None,
        outer: int | None = None,
        order: Int64[np.ndarray, " rows"] | None = None,
    ) -> None:
        kinds = {part.values.dtype for part in parts}
        if len(kinds) != 1:
            raise ValueError(f"one type in all parts, not {sorted(map(str, kinds))}")
        self.dtype = kinds.pop()
        self.width = width
        self.outer = outer
        bounds = np.cumsum([0, *(len(part) for part in parts)], dtype=np.int64)
        self._length = int(bounds[-1]) if order is None else len(order)
        offsets = np.array([part.offsets.ctypes.data for part in parts], np.int64)
        values = np.array([part.values.ctypes.data for part in parts], np.int64)
        # What the addresses below point to, the mappings among it, must live as long as they do.
        self._alive = (tuple(parts), bounds, offsets, values, order)
        self.facts = (
            0 if order is None else order.ctypes.data,
            -1 if order is None else len(order),
            bounds.ctypes.data,
            len(parts),
            offsets.ctypes.data,
            values.ctypes.data,
            self.dtype.itemsize,
            1 if width is None else width,
            outer or 1,
        )
        self._alone = Gather([self]), Gather([self], [0])

    def __len__(self) -> int:
        return self._length

    def read_at_random(self) -> None:
        """Have the kernel fetch no more of mapped parts than what is read or announced."""
        for part in self._alive[0]:
            read_at_random(part.values)

    def lengths(self, indices: Int64[np.ndarray, " batch"]) -> Int64[np.ndarray, " batch"]:
        """The first extent of each row that is not the same in all.

        Raises:
            IndexError: There is no such row.
        """
        found, _ = self._alone[0].locate(indices, NO_WIDTHS)
        lengths: np.ndarray = found[0, 1]
        return lengths

    def padded(
        self, indices: Int64[np.ndarray, " batch"], widths: Int64[np.ndarray, " batch"] | None = None
    ) -> Shaped[np.ndarray, "*shape"]:
        """The rows as one array with zeros where a row ends.

        Its shape is [batch, length], [batch, length, width] or [batch, outer, length, width].

        Args:
            indices: The rows wanted.
            widths: The last extent of each row, where it is not the same for all.

        Raises:
            IndexError: There is no such row.
            ValueError: A row is not a whole number of lines of its width.
        """
        if widths is None:
            return self._alone[0](indices)[0][0]
        return self._alone[1](indices, np.ascontiguousarray(widths[None]))[0][0]


class Gather:
    """Columns that are read together: one pass over all of them is faster than one over each.

    Args:
        readers: The columns.
        widths: Of each column, the line of the widths given with a batch that holds its last extents; None
            where that is the same for all rows. None: it is for all columns.
    """

    def __init__(self, readers: Sequence[ColumnReader], widths: Sequence[int | None] | None = None) -> None:
        self._readers = tuple(readers)
        lines = [None] * len(self._readers) if widths is None else widths
        self._table = np.array([reader.facts for reader in self._readers], np.int64).reshape(-1, _FACTS)
        for column, line in enumerate(lines):
            if line is not None:
                self._table[column, _WIDTH] = -1 - line
        self._shapes = [
            (reader.dtype, reader.dtype.itemsize, reader.outer, line is None and reader.width is None)
            for reader, line in zip(self._readers, lines, strict=True)
        ]

    def __call__(
        self, indices: Int64[np.ndarray, " batch"], widths: Int64[np.ndarray, "lines _"] = NO_WIDTHS
    ) -> tuple[list[np.ndarray], Int64[np.ndarray, "columns 3 batch"]]:
        """The rows of every column, padded as `ColumnReader.padded` does, and where they were found.

        Args:
            indices: The rows wanted.
            widths: Last extents of rows that differ in them.

        Returns:
            The columns; and of each column and row its address, its first extent that is not the same in all
            rows, and its last extent.

        Raises:
            IndexError: There is no such row.
            ValueError: A row is not a whole number of lines of its width.
        """
        found, extents = self.locate(indices, widths)
        shapes, starts, end = [], [], 0
        for (height, width), (_, item, outer, flat) in zip(extents.tolist(), self._shapes, strict=True):
            starts.append(end)
            shape = (len(indices), height) if flat else (len(indices), height, width)
            shapes.append(shape if outer is None else (len(indices), outer, height, width))
            end += -(-len(indices) * (outer or 1) * height * width * item // _ALIGNMENT) * _ALIGNMENT
        out = np.empty(end, np.uint8)
        if end:
            _copy(found, extents, self._table, np.array(starts, np.int64), out)
        columns = [
            np.ndarray(shape, dtype, out, start)
            for shape, (dtype, *_), start in zip(shapes, self._shapes, starts, strict=True)
        ]
        return columns, found

    def announce(
        self, indices: Int64[np.ndarray, " batch"], widths: Int64[np.ndarray, "lines _"] = NO_WIDTHS
    ) -> None:
        """Have the kernel fetch the rows of every column, as they would be asked for, without waiting.

        Raises:
            IndexError: There is no such row.
            ValueError: A row is not a whole number of lines of its width.
        """
        found, _ = self.locate(indices, widths)
        items = np.array([item * (outer or 1) for _, item, outer, _ in self._shapes], np.int64)
        sizes = found[:, 1] * found[:, 2] * items[:, None]
        announce(found[:, 0].ravel(), sizes.ravel())

    def locate(
        self, indices: Int64[np.ndarray, " batch"], widths: Int64[np.ndarray, "lines _"]
    ) -> tuple[Int64[np.ndarray, "columns 3 batch"], Int64[np.ndarray, "columns 2"]]:
        """Where the rows of every column are, with their extents, and the greatest extents of each column."""
        found = np.empty((len(self._table), 3, len(indices)), np.int64)
        extents = np.empty((len(self._table), 2), np.int64)
        bad = _locate(indices, self._table, widths, found, extents)
        if bad >= 0:
            self._refuse(indices, widths, *divmod(bad, len(indices)))
        return found, extents

    def _refuse(self, indices: np.ndarray, widths: np.ndarray, column: int, at: int) -> NoReturn:
        reader, row = self._readers[column], int(indices[at])
        if not 0 <= row < len(reader):
            raise IndexError(f"row {row} of {len(reader)}")
        line = -1 - int(self._table[column, _WIDTH])
        width = ((reader.width or 1) if line < 0 else int(widths[line, at])) * (reader.outer or 1)
        raise ValueError(f"row {row} has a length that lines of {width} do not divide")
