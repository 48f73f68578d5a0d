"""What a metric gives, by language, and its mean over a data set."""

from collections.abc import Iterable
from typing import NamedTuple

from pipeline.registry import Table


class Score(NamedTuple):
    """Exact match and F1 of one answer, each from 0 to 1."""

    em: float
    f1: float


METRICS = Table(
    "metric of a language",
    {
        "en": "pipeline.evaluation.squad:score",
        "zh": "pipeline.evaluation.cmrc:score",
    },
)

MISSED = Score(0.0, 0.0)
"""What a question scores that was not answered."""


def percentages(scores: Iterable[Score]) -> dict[str, float]:
    """Mean exact match and F1, in percent; of no scores at all, 0."""
    rows = list(scores)
    total = max(len(rows), 1)
    return {"em": 100 * sum(row.em for row in rows) / total, "f1": 100 * sum(row.f1 for row in rows) / total}
