"""Tables of frozen rows on disk (Arrow IPC), one column a dataclass field."""

import dataclasses
import types
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from pipeline.errors import DataError
from pipeline.files import new_file

Row = TypeVar("Row")

_SCALARS = {str: pa.large_string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


def write_rows(path: Path, row_type: type[Row], rows: Iterable[Row]) -> None:
    """Write `rows`, whole or not at all; equal rows give equal bytes."""
    table = pa.Table.from_pylist([dataclasses.asdict(row) for row in rows], schema=_schema(row_type))  # type: ignore[call-overload]
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
    schema = _schema(row_type)
    if table.schema != schema:
        raise DataError(
            path, expected=f"columns {schema.names}", got=f"columns {table.schema.names}", remedy=remedy
        )
    return [_build(row_type, values) for values in table.to_pylist()]


def _schema(row_type: type) -> pa.Schema:
    return pa.schema([(name, _arrow_type(hint)) for name, hint in _hints(row_type).items()])


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
    if typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)[0]
        return tuple(_build(inner, item) for item in value)
    if dataclasses.is_dataclass(hint):
        return hint(**{name: _build(inner, value[name]) for name, inner in _hints(hint).items()})  # type: ignore[operator]
    return value


def _hints(row_type: Any) -> dict[str, Any]:
    return {field.name: field.type for field in dataclasses.fields(row_type)}
