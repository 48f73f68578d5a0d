"""What a cache is made with, and the keys that follow from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any, Final

import numpy as np
from jaxtyping import UInt8

from pipeline import fingerprint
from pipeline.cache.columns import Column
from pipeline.cache.fields import TOKENS, check_field, spec_of, unsettled
from pipeline.errors import ParamsError

FORMAT: Final = "coldbrew-target-cache"
FORMAT_VERSION: Final = 1

SHARD_BYTES = 64 * 2**20
# A killed run reads the rows of its unfinished shards again, so small fields stop at fewer rows than fit.
SHARD_ROWS = 16_384
BLOCK_ROWS = 1_024


@dataclass(frozen=True)
class CacheSettings:
    """What a target set is made with.

    Args:
        teacher: Fingerprints of the teacher, by what they cover ("weights", "config").
        tokenizer: The fingerprint of its tokenizer.
        numbers: Every other setting that changes numbers (maximum length, autocast, tokens a batch, ...).
        fields: The fields wanted, each with its options. The tokens are always there.
        backend: The kind of shard files; it changes no key.
        shard_bytes: The size that a shard aims at.
        shard_rows: Rows a shard at most; a power of two.
        block_rows: Rows that the teacher is given at a time, at most; a power of two.
        merged_from: Of a merged cache, for each field the fingerprints of what its members' were made with.
        classes: What the teacher calls its classes, in the order of its logits, if it says; part of no key.

    Raises:
        ParamsError: There is no such field or option, or other names of classes than there are logits.
    """

    teacher: Mapping[str, str]
    tokenizer: str
    numbers: Mapping[str, Any]
    fields: Mapping[str, Mapping[str, Any]]
    backend: str = "arrow"
    shard_bytes: int = SHARD_BYTES
    shard_rows: int = SHARD_ROWS
    block_rows: int = BLOCK_ROWS
    merged_from: Mapping[str, Sequence[str]] = dataclass_field(default_factory=dict)
    classes: Sequence[str] = ()

    def __post_init__(self) -> None:
        for field, options in self.fields.items():
            check_field(field, options)
            if missing := unsettled(field, options):
                raise ParamsError(
                    f"fields.{field}",
                    expected=f"a field as it is stored, with {', '.join(missing)}",
                    got=repr(dict(options)),
                    remedy="settle the fields for the teacher first (pipeline.cache.settle.settle)",
                )
            count = self.options(field).get("num_classes")
            if self.classes and count not in (None, len(self.classes)):
                raise ParamsError(
                    "classes",
                    expected=f"{count} names, as many as {field} has",
                    got=f"{len(self.classes)}: {', '.join(self.classes)}",
                    remedy="name each class once, in the order of the logits",
                )

    @property
    def field_names(self) -> tuple[str, ...]:
        """The fields stored, sorted, the tokens first."""
        return (TOKENS, *sorted(self.fields))

    def options(self, field: str) -> dict[str, Any]:
        """A field's options, defaults filled in."""
        return spec_of(field).resolve(self.fields.get(field, {}))

    def given(self, field: str) -> tuple[Column, ...]:
        """A field's columns as the teacher gives them."""
        return spec_of(field).given(self.options(field))

    def columns(self, field: str) -> tuple[Column, ...]:
        """A field's columns with the types that they have on disk."""
        return spec_of(field).stored(self.options(field))

    def covers(self, field: str) -> dict[str, Any]:
        """All that a shard's values depend on beside its rows and its block."""
        return covered(
            teacher=self.teacher,
            tokenizer=self.tokenizer,
            numbers=self.numbers,
            field=field,
            numerics=spec_of(field).numerics,
            options=self.options(field),
            columns=[
                (column.name, column.dtype, column.encoding, *column.axes) for column in self.columns(field)
            ],
            merged_from=self.merged_from.get(field, ()),
        )

    def fingerprint(self, field: str) -> str:
        """The hash of what a field `covers`."""
        return fingerprint.settings(self.covers(field))


def covered(
    *,
    teacher: Mapping[str, str],
    tokenizer: str,
    numbers: Mapping[str, Any],
    field: str,
    numerics: int,
    options: Mapping[str, Any],
    columns: Sequence[tuple[str | None, ...]],
    merged_from: Sequence[str] = (),
) -> dict[str, Any]:
    """All that a shard's values depend on beside its rows and its block, as its metadata hold it.

    Args:
        teacher: Fingerprints of the teacher.
        tokenizer: The fingerprint of its tokenizer.
        numbers: Every other setting that changes numbers.
        field: The field's name.
        numerics: The version of its code.
        options: Its options.
        columns: Of each column its name, type on disk, encoding and axes.
        merged_from: In a merged cache, the fingerprints of what the members' fields were made with.
    """
    merged = {"merged_from": list(merged_from)} if merged_from else {}
    return merged | {
        "format_version": FORMAT_VERSION,
        "teacher": dict(teacher),
        "tokenizer": tokenizer,
        "settings": dict(numbers),
        "field": field,
        "numerics": numerics,
        "options": dict(options),
        "columns": [list(column) for column in columns],
    }


def shard_key(covers: str, block: int, hashes: UInt8[np.ndarray, "rows 16"]) -> str:
    """The key of a shard: what its values are made of, in hex.

    Args:
        covers: The fingerprint of the settings.
        block: Rows that the teacher was given at a time.
        hashes: The inputs, in order.
    """
    return fingerprint.digest([covers, str(block), hashes.tobytes()]).hex()
