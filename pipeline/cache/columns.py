"""Columns of a field: as a teacher gives them, and as they are stored."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

# The type of a column that is stored as its field's `dtype` option says.
FLOATING = "floating"
ENCODINGS = ("float32", "float16", "bfloat16", "int8")
SCALES = ("row", "token")

# Extents that no row changes, in any cache. A column says those that are fixed for its cache (a teacher's
# width, heads, classes); all others (passage, question, span, token, token_pairs) are a row's own.
FIXED_EXTENTS: Mapping[str, int] = MappingProxyType({"bounds": 2, "row": 1})

# All that the teacher reads, special tokens included: its extent is the row table's length.
TOKEN = "token"
# What the teacher tells apart.
CLASS = "class"
# The lower triangle of token x token, row by row: its extent follows from that of `token`.
TOKEN_PAIRS = "token_pairs"


@dataclass(frozen=True)
class Column:
    """One ragged column of a field.

    Args:
        name: Unique among all fields.
        dtype: Of the values; "floating" stands for the field's `dtype` option.
        axes: Names of a row's axes, three at most. Where there are three, the first one is fixed.
        unit: What a value is.
        encoding: What stored bits mean, where that is not their type: "bfloat16", "int8", "int8_root".
        fixed: Of each axis that is fixed for the cache, how long it is.
    """

    name: str
    dtype: str
    axes: tuple[str, ...]
    unit: str
    encoding: str | None = None
    fixed: Mapping[str, int] = field(default_factory=dict)

    @property
    def extents(self) -> dict[str, int]:
        """Of every axis that is the same in all rows, how long it is."""
        known = {**FIXED_EXTENTS, **self.fixed}
        return {axis: known[axis] for axis in self.axes if axis in known}


def stored_columns(column: Column, dtype: str, scale: str) -> tuple[Column, ...]:
    """What is stored of a column: itself, and its scales where it is stored as whole numbers.

    Args:
        column: As the teacher gives it.
        dtype: How it is stored, if it is floating.
        scale: Whether whole numbers have a scale a "row", or a "token" where a token has many values.
    """
    if column.dtype != FLOATING:
        return (column,)
    if dtype == "bfloat16":
        return (replace(column, dtype="uint16", encoding="bfloat16"),)
    if dtype != "int8":
        return (replace(column, dtype=dtype),)
    # Even steps take a quarter of an attention block to 0; steps that are even in the root, 4 %.
    encoding = "int8_root" if column.unit.startswith("probability") else "int8"
    axes = column.axes[:1] if scale == "token" and len(column.axes) > 1 else ("row",)
    return (
        replace(column, dtype="int8", encoding=encoding),
        Column(
            scale_name(column.name),
            "float32",
            axes,
            f"{encoding} scale of {column.name}",
            fixed={axis: size for axis, size in column.fixed.items() if axis in axes},
        ),
    )


def pairs(count: Any) -> Any:
    """How many values the lower triangle of `count` x `count` has, its diagonal included."""
    return count * (count + 1) // 2


def scale_name(column: str) -> str:
    """The column that holds the scales of a column of whole numbers."""
    return f"{column}_scale"
