"""What a cache is made with, and the keys that follow from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any, Final

import numpy as np
from jaxtyping import UInt8

from pipeline import fingerprint
from pipeline.cache.columns import Column
from pipeline.cache.fields import FIELDS, TOKENS, field_problems, spec_of
from pipeline.errors import ParamsError
from pipeline.registry import did_you_mean

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

    Raises:
        ParamsError: There is no such field or option.
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

    def __post_init__(self) -> None:
        for field, options in self.fields.items():
            if field not in FIELDS:
                raise ParamsError(
                    f"fields.{field}",
                    expected="the name of a target field",
                    got=repr(field),
                    remedy=did_you_mean(field, FIELDS),
                )
            if problems := field_problems(field, options):
                raise ParamsError(
                    f"fields.{field}",
                    expected="options of the field",
                    got=repr(dict(options)),
                    remedy="; ".join(problems),
                )

    @property
    def field_names(self) -> tuple[str, ...]:
        """The fields stored, sorted, the tokens first."""
        return (TOKENS, *sorted(self.fields))

    def options(self, field: str) -> dict[str, Any]:
        """A field's options, defaults filled in."""
        return spec_of(field).resolve(self.fields.get(field, {}))

    def columns(self, field: str) -> tuple[Column, ...]:
        """A field's columns with the types that they have on disk."""
        return spec_of(field).stored(self.options(field))

    def covers(self, field: str) -> dict[str, Any]:
        """All that a shard's values depend on beside its rows and its block."""
        merged = {"merged_from": list(self.merged_from[field])} if field in self.merged_from else {}
        return merged | {
            "format_version": FORMAT_VERSION,
            "teacher": dict(self.teacher),
            "tokenizer": self.tokenizer,
            "settings": dict(self.numbers),
            "field": field,
            "numerics": spec_of(field).numerics,
            "options": self.options(field),
            "columns": [
                [column.name, column.dtype, column.encoding, *column.axes] for column in self.columns(field)
            ],
        }

    def fingerprint(self, field: str) -> str:
        """The hash of what a field `covers`."""
        return fingerprint.settings(self.covers(field))


def shard_key(covers: str, block: int, hashes: UInt8[np.ndarray, "rows 16"]) -> str:
    """The key of a shard: what its values are made of, in hex.

    Args:
        covers: The fingerprint of the settings.
        block: Rows that the teacher was given at a time.
        hashes: The inputs, in order.
    """
    return fingerprint.digest([covers, str(block), hashes.tobytes()]).hex()
