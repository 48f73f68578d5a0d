"""Which of a set's results are scores, and which of them comes first."""

from collections.abc import Mapping
from typing import Any

_COUNTS = {"task", "rows", "unlabelled", "unanswered"}

TITLES = {
    "em": "EM",
    "f1": "F1",
    "macro_f1": "macro F1",
    "auc": "AUC",
    "map": "MAP",
    "mrr": "MRR",
    "matthews": "Matthews",
    "pearson": "Pearson",
    "spearman": "Spearman",
}


def score_names(results: Mapping[str, Any]) -> list[str]:
    """The names of the scores among a set's results, in order."""
    return [name for name in results if name not in _COUNTS]


def main_score(results: Mapping[str, Any]) -> str:
    """The score that readers are compared by: F1 of answers, else the first one there is."""
    names = score_names(results)
    return "f1" if "em" in names or not names else names[0]


def title(name: str) -> str:
    """What a score is called in tables."""
    return TITLES.get(name, name)
