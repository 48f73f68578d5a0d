"""Columns of a field: as a teacher gives them, and as they are stored."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

# The type of a column that is stored as its field's `dtype` option says.
FLOATING = "floating"
ENCODINGS = ("float32", "float16", "bfloat16", "int8")
SCALES = ("row", "token")

# Extents that no row changes; all others (passage, question, span) are a row's own.
FIXED_EXTENTS: Mapping[str, int] = MappingProxyType({"bounds": 2, "row": 1})


@dataclass(frozen=True)
class Column:
    """One ragged column of a field.

    Args:
        name: Unique among all fields.
        dtype: Of the values; "floating" stands for the field's `dtype` option.
        axes: Names of a row's axes, the first one ragged.
        unit: What a value is.
        encoding: What stored bits mean, where that is not their type: "bfloat16", "int8", "int8_root".
    """

    name: str
    dtype: str
    axes: tuple[str, ...]
    unit: str
    encoding: str | None = None


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
        Column(scale_name(column.name), "float32", axes, f"{encoding} scale of {column.name}"),
    )


def scale_name(column: str) -> str:
    """The column that holds the scales of a column of whole numbers."""
    return f"{column}_scale"
