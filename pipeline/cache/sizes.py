"""How many bytes a field takes, before any of them is written, and how many rows that makes a shard."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float64

from pipeline.cache.columns import TOKEN, TOKEN_PAIRS, Column, pairs
from pipeline.cache.rows import RowTable
from pipeline.cache.settings import CacheSettings
from pipeline.fingerprint import HASH_BYTES

_OFFSET_BYTES = 8


def bytes_per_row(settings: CacheSettings, rows: RowTable, field: str) -> float:
    """The expected bytes of a field for each unique input, from the rows' token counts."""
    if not len(rows):
        return 0.0
    options = settings.options(field)
    total = float(HASH_BYTES + _OFFSET_BYTES)
    for column in settings.columns(field):
        extents = [_extent(axis, column, rows, options) for axis in column.axes]
        values = float(np.mean(np.prod(extents, axis=0)))
        total += values * np.dtype(column.dtype).itemsize + _OFFSET_BYTES
    return total


def _extent(
    axis: str, column: Column, rows: RowTable, options: Mapping[str, Any]
) -> Float64[np.ndarray, " unique"]:
    length: np.ndarray = rows.length[rows.first].astype(np.float64)
    if axis == TOKEN:
        return length
    if axis == TOKEN_PAIRS:
        return np.asarray(pairs(length))
    question: np.ndarray = rows.question_length[rows.first].astype(np.float64)
    if axis == "question":
        return question
    if axis == "passage":
        # Special tokens count as passage here: a handful a row, on the safe side.
        return np.asarray(np.maximum(length - question, 0.0))
    return np.full(len(question), float(column.extents.get(axis) or options.get("k", 1)))


def rows_per_shard(settings: CacheSettings, bytes_a_row: float) -> int:
    """The power of two of rows that comes nearest below the size a shard aims at."""
    fitting = settings.shard_bytes / max(bytes_a_row, 1.0)
    return min(1 << math.floor(math.log2(max(fitting, 1.0))), settings.shard_rows)


def rows_per_block(settings: CacheSettings, shard_sizes: Iterable[int]) -> int:
    """Rows the teacher is given at a time: they must divide the shards of every field."""
    return min(settings.block_rows, *shard_sizes)
