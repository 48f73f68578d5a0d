"""From a teacher's float32 to what is stored, with the error that this makes, measured on every value."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Float32, Int64, Shaped

from pipeline.cache.columns import Column, scale_name
from pipeline.cache.ragged import Ragged
from pipeline.cache.rounding import to_bfloat16, to_float16

# From here on a float32 is rounded to infinity.
LIMITS: Mapping[str, float] = MappingProxyType({"float16": 65520.0, "bfloat16": 2.0**128 * (1 - 2.0**-9)})


@dataclass(frozen=True)
class EncodingError:
    """How far stored values of a column are from float32.

    Args:
        largest: The greatest absolute difference.
        total: The sum of absolute differences.
        values: The number of values.
        divergence: For logits, the sum over rows of KL(softmax of float32 || softmax of stored), in nats.
        rows: The number of rows.
    """

    largest: float = 0.0
    total: float = 0.0
    values: int = 0
    divergence: float | None = None
    rows: int = 0

    @classmethod
    def sum(cls, parts: Iterable["EncodingError"]) -> "EncodingError":
        """The error of several parts, taken together in their order."""
        parts = list(parts)
        divergences = [part.divergence for part in parts if part.divergence is not None]
        return cls(
            largest=max((part.largest for part in parts), default=0.0),
            total=float(sum(part.total for part in parts)),
            values=sum(part.values for part in parts),
            divergence=float(sum(divergences)) if divergences else None,
            rows=sum(part.rows for part in parts),
        )

    def sums(self) -> dict[str, float | int | None]:
        """As a shard records it, to be added to other shards'."""
        return asdict(self)

    def summary(self) -> dict[str, float | None]:
        """As a manifest records it: maximum, mean, mean KL a row."""
        mean = None if self.divergence is None else self.divergence / max(self.rows, 1)
        return {"maximum": self.largest, "mean": self.total / max(self.values, 1), "kl": mean}


def encode(
    given: Ragged, stored: Sequence[Column], token_lengths: Int64[np.ndarray, " rows"] | None
) -> dict[str, Ragged]:
    """Store float32 as one of the encodings; a type that cannot hold a value makes it infinite.

    Args:
        given: Finite, in float32.
        stored: The columns of `stored_columns`.
        token_lengths: The extent of each row's first axis; needed for a scale a token alone.
    """
    column = stored[0]
    if column.encoding is None:
        same = column.dtype == "float32"
        return {column.name: Ragged(given.values if same else to_float16(given.values), given.offsets)}
    if column.encoding == "bfloat16":
        return {column.name: Ragged(to_bfloat16(given.values), given.offsets)}
    values = given.values
    if column.encoding == "int8_root":
        values = np.copysign(np.sqrt(np.abs(values)), values)
    scales = _scales(values, given, stored[1], token_lengths)
    steps = _spread(scales, given)
    # A row of zeros has the scale 0; beside the smallest numbers there are, a scale is rounded.
    whole = np.rint(np.divide(values, steps, out=np.zeros_like(values), where=steps > 0)).clip(-127, 127)
    return {column.name: Ragged(whole.astype(np.int8), given.offsets), stored[1].name: scales}


def decode(
    values: Shaped[np.ndarray, "*shape"],
    encoding: str | None,
    scales: Float32[np.ndarray, "batch lines"] | None = None,
) -> Shaped[np.ndarray, "*shape"]:
    """Stored values of a padded batch as floating ones; float16 and float32 as they are.

    Args:
        values: [batch, tokens] or [batch, tokens, width], zeros where a row ends.
        encoding: Their column's.
        scales: Of whole numbers: one a row, or one a token, padded.
    """
    if encoding is None:
        return values
    if encoding == "bfloat16":
        return (values.astype(np.uint32) << 16).view(np.float32)
    assert scales is not None, "whole numbers have scales"
    # A row of tokens without values has scales, but no extent among the values.
    scales = scales[:, : max(values.shape[1], 1)]
    steps = scales.reshape(*scales.shape, *[1] * (values.ndim - scales.ndim))
    decoded: np.ndarray = values * steps
    return decoded * np.abs(decoded) if encoding == "int8_root" else decoded


def decode_rows(stored: Mapping[str, Ragged], column: Column) -> Float32[np.ndarray, " values"]:
    """The values of a stored column, not padded, in float32."""
    kept = stored[column.name]
    if column.encoding in (None, "bfloat16"):
        return decode(kept.values, column.encoding).astype(np.float32)
    steps = _spread(stored[scale_name(column.name)], kept)
    values: np.ndarray = kept.values * steps
    return values * np.abs(values) if column.encoding == "int8_root" else values


def _scales(
    values: np.ndarray, given: Ragged, scale: Column, token_lengths: Int64[np.ndarray, " rows"] | None
) -> Ragged:
    """The largest size of every row, or of every token of it, over 127."""
    lines = np.ones(len(given), np.int64)
    if scale.axes != ("row",):
        assert token_lengths is not None, "a scale a token is asked for together with the tokens"
        lines = token_lengths
    starts = _line_starts(given, lines)
    largest = np.zeros(len(starts) - 1, np.float32)
    filled = starts[1:] > starts[:-1]
    if filled.any():
        largest[filled] = np.maximum.reduceat(np.abs(values), starts[:-1][filled])
    return Ragged(largest / np.float32(127), np.concatenate([[0], np.cumsum(lines)]))


def _spread(scales: Ragged, column: Ragged) -> Float32[np.ndarray, " values"]:
    """The scale of every value."""
    return np.repeat(scales.values, np.diff(_line_starts(column, scales.lengths)))


def _line_starts(column: Ragged, lines: Int64[np.ndarray, " rows"]) -> Int64[np.ndarray, " bounds"]:
    """Where each line begins among the values, rows being cut into equally long lines, and the end."""
    widths = np.repeat(column.lengths // np.maximum(lines, 1), lines)
    return np.concatenate([[0], np.cumsum(widths)])


def measure(given: Ragged, back: Float32[np.ndarray, " values"], *, logits: bool) -> EncodingError:
    """How far values read back are from those given, both finite.

    Args:
        given: As the teacher said it, in float32.
        back: The same, stored and decoded.
        logits: Whether rows are logits, whose softmax is what counts.
    """
    gap = np.abs(back - given.values)
    return EncodingError(
        largest=float(gap.max(initial=0.0)),
        total=float(gap.sum(dtype=np.float64)),
        values=len(given.values),
        divergence=_divergence(given, back) if logits else None,
        rows=len(given),
    )


def _divergence(column: Ragged, back: Float32[np.ndarray, " values"]) -> float:
    filled = column.lengths > 0
    starts, counts = column.offsets[:-1][filled], column.lengths[filled]
    if not len(starts):
        return 0.0
    kept, given = (
        _log_softmax(values.astype(np.float64), starts, counts) for values in (back, column.values)
    )
    # Rounding can push a divergence of nearly nothing below it.
    return max(float(np.sum(np.exp(given) * (given - kept))), 0.0)


def _log_softmax(values: np.ndarray, starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    shifted: np.ndarray = values - np.repeat(np.maximum.reduceat(values, starts), counts)
    shifted -= np.repeat(np.log(np.add.reduceat(np.exp(shifted), starts)), counts)
    return shifted
