"""Tables of frozen rows on disk (Arrow IPC), one column a dataclass field.

A field that is marked as optional has no column where all rows leave it at its default.
"""

import dataclasses
import types
import typing
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import DataError
from pipeline.files import new_file

Row = TypeVar("Row")

_SCALARS = {str: pa.large_string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


def write_rows(path: Path, row_type: type[Row], rows: Iterable[Row]) -> None:
    """Write `rows`, whole or not at all; equal rows give equal bytes."""
    kept = list(rows)
    unused = {
        name
        for name, default in _optional(row_type).items()
        if all(getattr(row, name) == default for row in kept)
    }
    schema = _schema(row_type, unused)
    table = pa.Table.from_pylist([dataclasses.asdict(row) for row in kept], schema=schema)  # type: ignore[call-overload]
    with (
        new_file(path) as temporary,
        pa.OSFile(str(temporary), "wb") as sink,
        pa.ipc.new_file(sink, table.schema) as writer,
    ):
        writer.write_table(table.combine_chunks())


def read_rows(path: Path, row_type: type[Row]) -> list[Row]:
    """The rows at `path`, in order.

    Raises:
        DataError: The file is missing, damaged, or holds rows of another type.
    """
    remedy = "run the stage that writes it again"
    try:
        with pa.OSFile(str(path), "rb") as source:
            table = pa.ipc.open_file(source).read_all()
    except FileNotFoundError as error:
        raise DataError(path, expected="a table", got="no such file", remedy=remedy) from error
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(path, expected="an Arrow table", got=str(error), remedy=remedy) from error
    schema = _schema(row_type, _optional(row_type).keys() - set(table.schema.names))
    if table.schema != schema:
        raise DataError(
            path, expected=f"columns {schema.names}", got=f"columns {table.schema.names}", remedy=remedy
        )
    return [_build(row_type, values) for values in table.to_pylist()]


def read_parquet(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet file that others wrote, in order.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches():
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise DataError(path, expected="a Parquet file", got=str(error), remedy="check the file") from error


def _schema(row_type: type, without: Collection[str]) -> pa.Schema:
    hints = _hints(row_type).items()
    return pa.schema([(name, _arrow_type(hint)) for name, hint in hints if name not in without])


def _optional(row_type: Any) -> dict[str, Any]:
    """The fields whose columns a table may lack, with their defaults."""
    fields = dataclasses.fields(row_type)
    return {field.name: field.default for field in fields if field.metadata.get("optional")}


def _arrow_type(hint: Any) -> pa.DataType:
    if typing.get_origin(hint) is tuple:
        return pa.large_list(_arrow_type(typing.get_args(hint)[0]))
    if isinstance(hint, types.UnionType):
        return _arrow_type(typing.get_args(hint)[0])
    if dataclasses.is_dataclass(hint):
        return pa.struct([(name, _arrow_type(inner)) for name, inner in _hints(hint).items()])
    return _SCALARS[hint]


def _build(hint: Any, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(hint, types.UnionType):
        return _build(typing.get_args(hint)[0], value)
    if typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)[0]
        return tuple(_build(inner, item) for item in value)
    if dataclasses.is_dataclass(hint):
        hints = _hints(hint).items()
        return hint(**{name: _build(inner, value[name]) for name, inner in hints if name in value})  # type: ignore[operator]
    return value


def _hints(row_type: Any) -> dict[str, Any]:
    return {field.name: field.type for field in dataclasses.fields(row_type)}
