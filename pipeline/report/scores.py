"""Which of a set's results are scores, and which of them comes first."""

from collections.abc import Mapping
from typing import Any

from pipeline.tasks import SPAN, TASKS
from pipeline.tasks.task import Task

TITLES = {
    "em": "EM",
    "f1": "F1",
    "bleu_1": "Bleu-1",
    "bleu_4": "Bleu-4",
    "rouge_l": "Rouge-L",
    "macro_f1": "macro F1",
    "auc": "AUC",
    "map": "MAP",
    "mrr": "MRR",
    "matthews": "Matthews",
    "pearson": "Pearson",
    "spearman": "Spearman",
}


def score_names(results: Mapping[str, Any]) -> list[str]:
    """The names of the scores among a set's results, in the order of its task."""
    return [name for name in _task(results).score_names if name in results]


def main_score(results: Mapping[str, Any]) -> str:
    """The score that readers are compared by: F1 of answers, Rouge-L of free text, else the first one."""
    if _task(results) is TASKS[SPAN]:
        return "rouge_l" if "rouge_l" in results else "f1"
    return next(iter(score_names(results)), _task(results).score_names[0])


def _task(results: Mapping[str, Any]) -> Task:
    return TASKS[results.get("task", SPAN)]


def parts_of(results: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """A set's scores of the worst variants, with an answer and without, and by question word.

    Of the words the most frequent comes first.
    """
    names = ("worst_variant", "has_answer", "no_answer")
    apart = {name.replace("_", " "): results[name] for name in names if name in results}
    by_word = sorted(results.get("by_question_word", {}).items(), key=lambda item: -item[1]["rows"])
    return {**apart, **dict(by_word)}


def title(name: str) -> str:
    """What a score is called in tables."""
    return TITLES.get(name, name)
