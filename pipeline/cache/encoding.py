"""From a teacher's float32 to what is stored, with the error that this makes, measured on every value."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float32

from pipeline.cache.ragged import Ragged


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


def encode(column: Ragged, dtype: str) -> Ragged:
    """Store float32 as `dtype`: float32, or float16, which makes infinite what it cannot hold."""
    with np.errstate(over="ignore"):
        return Ragged(column.values.astype(dtype, copy=False), column.offsets)


def measure(column: Ragged, stored: Ragged, *, logits: bool) -> EncodingError:
    """How far `stored` is from `column`, both finite.

    Args:
        column: As the teacher said it, in float32.
        stored: The same, encoded.
        logits: Whether rows are logits, whose softmax is what counts.
    """
    values, rows = len(column.values), len(column)
    if stored.values.dtype == np.float32:
        return EncodingError(values=values, divergence=0.0 if logits else None, rows=rows)
    back = stored.values.astype(np.float32)
    gap = np.abs(back - column.values)
    return EncodingError(
        largest=float(gap.max(initial=0.0)),
        total=float(gap.sum(dtype=np.float64)),
        values=values,
        divergence=_divergence(column, back) if logits else None,
        rows=rows,
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
