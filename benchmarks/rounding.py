"""How long float32 takes to become 16 bits, against numpy's cast."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from benchmarks.pairs import Pair, Ratio, interleaved
from pipeline.cache.rounding import to_float16

NUM_VALUES = 50_000_000


def measure(pairs: int, num_values: int = NUM_VALUES) -> Iterator[Pair]:
    """The compiled loop against numpy's cast of the same logits, of which none is too large."""
    logits = np.random.default_rng(0).normal(0, 4, num_values).astype(np.float32)
    return interleaved(partial(to_float16, logits), partial(logits.astype, np.float16), pairs)


RATIOS = (
    Ratio(
        name="rounding",
        ours="logits rounded to float16 by the compiled loop",
        other="numpy's cast",
        direction="at least",
        bar=None,
        measure=measure,
        unit=f"s for {NUM_VALUES // 10**6} million values",
    ),
)
