"""What a fill will cost, measured on a few rows before the first byte: time, and each encoding's error."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from pipeline.cache.blocks import Read, encode_block
from pipeline.cache.columns import ENCODINGS, FLOATING, TOKEN
from pipeline.cache.disk import disk_rate
from pipeline.cache.encoding import EncodingError
from pipeline.cache.plan import Plan
from pipeline.cache.settings import CacheSettings
from pipeline.cache.sizes import bytes_per_row
from pipeline.errors import CacheError

SAMPLE_ROWS = 64


@dataclass(frozen=True)
class FieldEstimate:
    """One field, by encoding where it has floating columns; by "" where it has none.

    Args:
        bytes_per_row: Expected for a unique input.
        error: The error of each floating column, over the sample.
    """

    bytes_per_row: Mapping[str, float]
    error: Mapping[str, Mapping[str, EncodingError]]


@dataclass(frozen=True)
class Estimate:
    """What a fill will cost.

    Args:
        rows: Rows that the teacher has read for it.
        teacher_rate: Rows a second that the teacher reads, for all fields together.
        disk_rate: Bytes a second that the disk reads, past the page cache.
        fields: The fields planned, the tokens left out.
    """

    rows: int
    teacher_rate: float
    disk_rate: float
    fields: Mapping[str, FieldEstimate]

    def reading_s(self, bytes_a_row: float) -> float:
        """Seconds to read a row of so many bytes from disk."""
        return bytes_a_row / self.disk_rate

    @property
    def computing_s(self) -> float:
        """Seconds in which the teacher would compute a row again."""
        return 1 / self.teacher_rate


def estimate(planned: Plan, read: Read, *, sample_rows: int = SAMPLE_ROWS) -> Estimate:
    """Let the teacher read a few of the rows, and keep nothing.

    Args:
        planned: What is to be filled.
        read: The teacher.
        sample_rows: Rows to read, spread evenly over all.

    Raises:
        CacheError: What the teacher says cannot be stored as asked for.
    """
    first = planned.rows.first
    chosen = first[np.unique(np.linspace(0, len(first) - 1, min(sample_rows, len(first))).astype(np.int64))]
    names = frozenset(planned.settings.field_names)
    # A first pass pays for what is loaded and compiled once.
    read(chosen[:8], names)
    started = time.perf_counter()
    answer = read(chosen, names)
    seconds = max(time.perf_counter() - started, 1e-9)
    known = {TOKEN: planned.rows.length[chosen].astype(np.int64)}
    fields = {}
    for name in planned.settings.fields:
        floating = any(column.dtype == FLOATING for column in planned.settings.given(name))
        sizes, errors = {}, {}
        for encoding in ENCODINGS if floating else ("",):
            settings = _with_encoding(planned.settings, name, encoding)
            try:
                block = encode_block(settings, settings.field_names, chosen, answer, str, known)
            except CacheError:
                # float16 cannot hold some value. An encoding that was asked for fails in the same words.
                if encoding == planned.settings.options(name).get("dtype"):
                    raise
                continue
            sizes[encoding] = bytes_per_row(settings, planned.rows, name)
            errors[encoding] = block[name].errors
        fields[name] = FieldEstimate(sizes, errors)
    return Estimate(len(chosen), len(chosen) / seconds, disk_rate(planned.folder), fields)


def _with_encoding(settings: CacheSettings, field: str, encoding: str) -> CacheSettings:
    """The settings with one field in another encoding; "" changes nothing."""
    if not encoding:
        return settings
    changed = {**settings.fields[field], "dtype": encoding}
    return replace(settings, fields={**settings.fields, field: changed})
