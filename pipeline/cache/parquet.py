"""A cache as Parquet files, for other tools: a file a split, a line a row, values as floats."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.cache.columns import scale_name
from pipeline.cache.fields import TOKENS
from pipeline.cache.reader import TargetCache
from pipeline.errors import CacheError
from pipeline.files import new_file

_CHUNK = 1024


def export(
    folder: Path,
    target: Path,
    *,
    fields: Sequence[str] | None = None,
    advance: Callable[[int], None] | None = None,
) -> dict[str, int]:
    """Write the cache at `folder` as `target`/<split>.parquet, zstd-compressed.

    A line holds `input_hash` (hexadecimal), `occurrence`, and every column as a list, or a list of lists.
    Encoded values are written as what they stand for.

    Args:
        folder: A sealed cache.
        target: A folder; files of the same names are replaced.
        fields: The fields wanted beside the tokens; None takes all.
        advance: Told how many more rows are written.

    Returns:
        Rows by split.

    Raises:
        CacheError: There is no cache, it is damaged, or lacks a field.
    """
    cache = TargetCache.open(folder)
    unknown = sorted({*fields} - {*cache.fields}) if fields is not None else []
    if unknown:
        raise CacheError(
            folder,
            expected=f"fields among {', '.join(cache.fields)}",
            got=", ".join(unknown),
            remedy="name fields that the cache has",
        )
    wanted = {TOKENS, *(cache.fields if fields is None else fields)}
    scales = {scale_name(name) for name, column in cache.columns.items() if column.encoding}
    columns = [
        column.name
        for name in cache.fields
        if name in wanted
        for column in cache.manifest.fields[name].columns
        if column.name not in scales
    ]
    counts = {}
    for code, split in enumerate(cache.rows.splits):
        rows = np.flatnonzero(cache.rows.split == code)
        with new_file(target / f"{split}.parquet") as temporary:
            _write(temporary, cache, rows, columns, advance or (lambda count: None))
        counts[split] = len(rows)
    return counts


def _write(
    path: Path, cache: TargetCache, rows: np.ndarray, columns: Sequence[str], advance: Callable[[int], None]
) -> None:
    writer = None
    for start in range(0, max(len(rows), 1), _CHUNK):
        part = rows[start : start + _CHUNK]
        batch = cache.batch(part, columns)
        table = pa.table(
            {
                "input_hash": [row.tobytes().hex() for row in cache.rows.input_hash[part]],
                "occurrence": cache.rows.occurrence[part],
                **{name: _lists(batch, name, cache.columns[name].axes) for name in columns},
            }
        )
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table)
        advance(len(part))
    if writer is not None:
        writer.close()


def _lists(batch: Mapping[str, np.ndarray], name: str, axes: Sequence[str]) -> pa.Array:
    """The rows of a padded column as lists, without padding."""
    values = batch[name]
    # Parquet readers know float32 everywhere, float16 hardly.
    values = values.astype(np.float32) if values.dtype == np.float16 else values
    inside = np.ones((), np.bool_)
    lists: list[np.ndarray] = []
    count = np.ones(len(values), np.int64)
    for at, axis in enumerate(axes, start=1):
        extent = batch.get(f"{axis}_length", np.full(len(values), values.shape[at], np.int32))
        within = np.arange(values.shape[at]) < extent[:, None]
        inside = inside & within.reshape(
            len(values), *np.where(np.arange(1, values.ndim) == at, values.shape[at], 1)
        )
        lists.append(_offsets(np.repeat(extent, count)))
        count = count * extent
    nested = values[np.broadcast_to(inside, values.shape)]
    for offsets in reversed(lists):
        nested = pa.ListArray.from_arrays(offsets, nested)
    return nested


def _offsets(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
