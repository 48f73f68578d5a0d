"""A teacher's answer for one block of rows: checked, then encoded as it will be stored."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from pipeline.cache.columns import FLOATING, Column, stored_columns
from pipeline.cache.encoding import LIMITS, EncodingError, decode_rows, encode, measure
from pipeline.cache.extents import Extents
from pipeline.cache.ragged import Ragged
from pipeline.cache.rounding import largest
from pipeline.cache.settings import CacheSettings
from pipeline.errors import CacheError

# Given rows, each unique input by the first row that has it, and fields: the columns of these fields for
# these rows, in their order, floating ones in float32. What a field says must not depend on the other fields.
Read = Callable[[np.ndarray, frozenset[str]], Mapping[str, Ragged]]

_LOGIT = "raw logit"
# Rows of a block whose encoding error is measured, at least; all of a small one.
_SAMPLE_ROWS = 64


@dataclass(frozen=True)
class Encoded:
    """A block of one field as it will be stored."""

    columns: Mapping[str, Ragged]
    errors: Mapping[str, EncodingError]


def encode_block(
    settings: CacheSettings,
    fields: Sequence[str],
    rows: Int64[np.ndarray, " rows"],
    answer: Mapping[str, Ragged],
    name_of: Callable[[int], str],
    known: Mapping[str, Int64[np.ndarray, " rows"]] | None = None,
) -> dict[str, Encoded]:
    """Check what a teacher said of `rows` and encode it, field by field.

    Args:
        settings: What the cache is made with.
        fields: The fields asked for.
        rows: Their places in the row table.
        answer: What the teacher said.
        name_of: What to call a row in a message.
        known: Extents of the rows' axes that are known beforehand.

    Raises:
        CacheError: Columns are missing, of other types, lengths or extents than they must be, not finite, or
            beyond what the encoding holds.
    """
    asked = {column.name: column for field in fields for column in settings.given(field)}
    if set(answer) != set(asked):
        raise _wrong("the teacher", f"columns {sorted(asked)}", f"{sorted(answer)}")
    extents = Extents(lambda at: name_of(int(rows[at])), known)
    limits = {
        column.name: LIMITS.get(settings.options(field)["dtype"], np.inf)
        for field in fields
        for column in settings.given(field)
        if column.dtype == FLOATING
    }
    for name, column in asked.items():
        _check_type(column, answer[name], len(rows))
        if answer[name].values.dtype.kind == "f":
            _check_values(name, answer[name], limits.get(name, np.inf), rows, name_of)
        extents.check(column, answer[name].lengths)
    return {field: _encode_field(settings, field, answer, extents) for field in fields}


def _encode_field(
    settings: CacheSettings, field: str, answer: Mapping[str, Ragged], extents: Extents
) -> Encoded:
    options = settings.options(field)
    columns: dict[str, Ragged] = {}
    errors = {}
    for column in settings.given(field):
        given = answer[column.name]
        if column.dtype != FLOATING:
            columns[column.name] = given
            continue
        stored = stored_columns(column, options["dtype"], options.get("scale", "row"))
        encoded = encode(given, stored, extents.of(column.axes[0]))
        errors[column.name] = _error(column, stored, given, encoded)
        columns |= encoded
    return Encoded(columns, errors)


def _error(
    column: Column, stored: Sequence[Column], given: Ragged, encoded: Mapping[str, Ragged]
) -> EncodingError:
    """The error of an encoding, over rows spread evenly: to read all of them back would take longest."""
    rows = np.arange(0, len(given), max(len(given) // _SAMPLE_ROWS, 1))
    sample = {name: part.take(rows) for name, part in encoded.items()}
    return measure(given.take(rows), decode_rows(sample, stored[0]), logits=column.unit == _LOGIT)


def _check_type(column: Column, got: Ragged, rows: int) -> None:
    dtype = "float32" if column.dtype == FLOATING else column.dtype
    if got.values.dtype != dtype or len(got) != rows:
        raise _wrong(
            f"the teacher's {column.name}",
            f"{rows} rows of {dtype}",
            f"{len(got)} rows of {got.values.dtype}",
        )


def _check_values(
    name: str,
    column: Ragged,
    limit: float,
    rows: Int64[np.ndarray, " rows"],
    name_of: Callable[[int], str],
) -> None:
    """Stop at a value that is no finite number, or that rounds to infinity."""
    found = largest(column.values)
    if found < limit:  # not where it is not a number
        return
    finite = np.isfinite(column.values)
    if not finite.all():
        at = int(np.argmin(finite))
        raise _refused(column, at, rows, name_of, f"finite {name}", "check the teacher on this row")
    at = int(np.argmax(np.abs(column.values)))
    raise _refused(column, at, rows, name_of, f"{name} below {limit:g} as it is stored", "set dtype: float32")


def _refused(
    column: Ragged,
    at: int,
    rows: Int64[np.ndarray, " rows"],
    name_of: Callable[[int], str],
    expected: str,
    remedy: str,
) -> CacheError:
    row = int(rows[np.searchsorted(column.offsets, at, side="right") - 1])
    return CacheError(
        name_of(row),
        expected=expected,
        got=str(column.values[at]),
        remedy=f"{remedy}; nothing of its block was kept",
    )


def _wrong(where: str, expected: str, got: str) -> CacheError:
    return CacheError(where, expected=expected, got=got, remedy="mend what reads the teacher")
