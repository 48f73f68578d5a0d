"""A ratio of two costs, measured in interleaved pairs.

Each pair times both sides back to back, so a machine that slows down slows both. The ratio reported
is the median over the pairs; its interval is between two order statistics, which needs no assumption
about how times are distributed: the median of n independent draws lies between the k-th smallest and
the k-th largest with probability 1 - 2 P(Binomial(n, 1/2) < k). We take the largest k for which that
is at least 90 % (n = 9: the second smallest and the second largest, 96 %).
"""

import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

FEWEST_PAIRS = 9
CONFIDENCE = 0.9

Pair = tuple[float, float]


class UnmeasurableError(Exception):
    """This machine cannot measure the ratio; the text says why."""


@dataclass(frozen=True)
class Ratio:
    """One claim: how the cost of ours compares with the cost of another way.

    Args:
        name: Its name on the command line, unique over all benchmarks.
        ours: What ours is, in a few words.
        other: What it is compared with.
        direction: "at least": the ratio says how many times faster ours is (other / ours).
            "at most": the ratio says how many times as costly ours is (ours / other).
        bar: What the ratio must reach or stay under; None reports it only.
        measure: Given a number of pairs, sets up, warms up both sides and yields that many pairs
            (cost of ours, cost of the other). May raise `UnmeasurableError`.
        unit: Of both costs.
    """

    name: str
    ours: str
    other: str
    direction: Literal["at least", "at most"]
    bar: float | None
    measure: Callable[[int], Iterator[Pair]]
    unit: str = "s"


def timed(work: Callable[[], object]) -> float:
    """Seconds that one call of `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def interleaved(ours: Callable[[], object], other: Callable[[], object], pairs: int) -> Iterator[Pair]:
    """Times both sides `pairs` times after one untimed call of each; which goes first alternates."""
    ours()
    other()
    for index in range(pairs):
        if index % 2:
            other_s = timed(other)
            yield timed(ours), other_s
        else:
            ours_s = timed(ours)
            yield ours_s, timed(other)


def median_interval(values: list[float], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Two order statistics between which the true median lies with at least `confidence`."""
    ordered, count = sorted(values), len(values)
    outside, depth = 0.0, 0
    for k in range(count // 2):
        outside += 2 * math.comb(count, k) / 2**count
        if outside > 1 - confidence:
            break
        depth = k + 1
    if depth == 0:
        raise ValueError(f"{count} values give no interval of {confidence:.0%} for the median")
    return ordered[depth - 1], ordered[-depth]


def judge(ratio: Ratio, pairs: list[Pair]) -> dict[str, Any]:
    """The result of measured `pairs`; it holds where the near end of the interval meets the bar."""
    ratios = [other / ours if ratio.direction == "at least" else ours / other for ours, other in pairs]
    low, high = median_interval(ratios)
    return _described(ratio) | {
        "ours": statistics.median(ours for ours, _ in pairs),
        "other": statistics.median(other for _, other in pairs),
        "ratio": statistics.median(ratios),
        "low": low,
        "high": high,
        "pairs": len(pairs),
        "holds": _holds(ratio, low, high),
    }


def run(ratio: Ratio, pairs: int) -> dict[str, Any]:
    """Measure `ratio`; where that cannot be done, `holds` is None and `reason` says why."""
    try:
        return judge(ratio, list(ratio.measure(pairs)))
    except UnmeasurableError as error:
        unknown = dict.fromkeys(["ours", "other", "ratio", "low", "high", "holds"])
        return _described(ratio) | unknown | {"pairs": 0, "reason": str(error)}


def _described(ratio: Ratio) -> dict[str, Any]:
    return {
        "name": ratio.name,
        "of": ratio.ours,
        "against": ratio.other,
        "unit": ratio.unit,
        "direction": ratio.direction,
        "bar": ratio.bar,
    }


def _holds(ratio: Ratio, low: float, high: float) -> bool | None:
    if ratio.bar is None:
        return None
    return low >= ratio.bar if ratio.direction == "at least" else high <= ratio.bar
