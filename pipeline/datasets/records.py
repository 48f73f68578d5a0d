"""Rows of CSV, TSV, JSON and Parquet files as mappings from a column's name to its value.

Bytes that are no UTF-8 become lone surrogates, for which the check of rows refuses the row alone.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from pipeline.datasets.rows import Broken, shown
from pipeline.errors import DataError
from pipeline.registry import did_you_mean
from pipeline.tables import read_parquet

Record = Mapping[str, Any]

_JSON, _PARQUET = (".json", ".jsonl"), (".parquet",)


def records(path: Path, *, columns: Sequence[str] | None = None, quoted: bool | None = None) -> Iterator[Any]:
    """The rows of a file, each a mapping, or a `Broken` one.

    Args:
        path: A file whose suffix says its format; any other than .csv, .json, .jsonl and .parquet is
            parted by tabs.
        columns: Names of the columns where no header says them; if there are none, "0", "1", ...
        quoted: Whether a field in double quotes may hold delimiters and line breaks; None says so for .csv
            alone.

    Raises:
        DataError: The file is missing or is none of this format.
    """
    if path.suffix in _PARQUET:
        return iter(read_parquet(path))
    text = read_text(path)
    if path.suffix in _JSON:
        return _json(path, text)
    rows = (
        _quoted(path, text) if quoted or (quoted is None and path.suffix == ".csv") else _literal(path, text)
    )
    first = next(rows, None)
    width = len(first) if isinstance(first, list) else 0
    if columns is None:
        header = [name.strip() for name in first] if isinstance(first, list) else []
    else:
        rows = chain([] if first is None else [first], rows)
        header = list(columns) or [str(number) for number in range(width)]
    return _named(header, rows)


def files_of(folder: Path, files: Mapping[str, str]) -> dict[str, Path]:
    """Where the file of each split is.

    Raises:
        DataError: No file is named.
    """
    if not files:
        raise DataError(
            folder, expected="a file for each split", got="none named", remedy="name them under `files`"
        )
    return {split: folder / file for split, file in files.items()}


def read_text(path: Path) -> str:
    """The text of a file, without a mark at its start; bytes that are no UTF-8 become lone surrogates.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        return path.read_bytes().decode("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise DataError(
            path, expected="a file", got=str(error.strerror), remedy="check `folder` and `files`"
        ) from error


def check_columns(where: Path | str, record: Record, wanted: Sequence[str]) -> None:
    """Refuse a file whose rows lack a column.

    Raises:
        DataError: Names the first such column.
    """
    missing = [name for name in wanted if name not in record]
    if missing:
        raise DataError(
            where,
            expected=f"a column called {missing[0]!r}",
            got=", ".join(map(repr, record)) or "none",
            remedy=did_you_mean(missing[0], list(record)),
        )


def _delimiter(path: Path) -> str:
    return "," if path.suffix == ".csv" else "\t"


def _literal(path: Path, text: str) -> Iterator[Any]:
    lines = text.split("\n")
    for line in lines[:-1] if lines[-1] == "" else lines:
        yield line.removesuffix("\r").split(_delimiter(path))


def _quoted(path: Path, text: str) -> Iterator[Any]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(path))
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Broken("", "malformed", f"line {reader.line_num}: {error}")
            continue
        yield row


def _named(header: Sequence[str], rows: Iterator[Any]) -> Iterator[Any]:
    for row in rows:
        if isinstance(row, Broken):
            yield row
        elif len(row) != len(header):
            yield Broken("", "malformed", f"expected {len(header)} columns; got {len(row)}: {shown(row)}")
        else:
            yield dict(zip(header, row, strict=True))


def _json(path: Path, text: str) -> Iterator[Any]:
    if text.lstrip().startswith("["):
        try:
            rows = json.loads(text)
        except json.JSONDecodeError as error:
            raise DataError(
                path, expected="a list in JSON", got=str(error), remedy="check the file"
            ) from error
        yield from (row if isinstance(row, dict) else _no_object(row) for row in rows)
        return
    for line in text.split("\n"):
        if line.strip():
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                yield Broken("", "malformed", f"no JSON: {error}")
            else:
                yield row if isinstance(row, dict) else _no_object(row)


def _no_object(value: Any) -> Broken:
    return Broken("", "malformed", f"expected an object; got {shown(value)}")
