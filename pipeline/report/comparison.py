"""A student's scores beside those of its teacher and its gold-only twin."""

from collections.abc import Mapping
from typing import Any

from pipeline.report.arms import Arm
from pipeline.report.scores import main_score, score_names

Scores = Mapping[str, Mapping[str, Any]]
"""From an evaluation set to its scores."""


# In points. A share of less says nothing: a seed moves a student by as much.
LEAST_GAP = 1.0


def gap_closed(student: float, teacher: float, gold_only: float) -> float | None:
    """The share of the gap between gold-only training and the teacher that distillation closes.

    None where the teacher is not above gold-only training by `LEAST_GAP`: there is no gap to speak of. Below
    0 distillation hurt, above 1 the student passed its teacher.
    """
    gap = teacher - gold_only
    return (student - gold_only) / gap if gap >= LEAST_GAP else None


def compare(name: str, arm: Arm, scores: Mapping[str, Scores]) -> dict[str, dict[str, Any]]:
    """For each set of the student `name`: the scores of its teacher and twin, and the gap closed.

    Of several teachers the one with the highest main score on the set counts.

    Args:
        name: The student.
        arm: Whom it is compared with.
        scores: Of every reader that has been evaluated.
    """
    return {key: _compared(own, key, arm, scores) for key, own in scores[name].items()}


def _compared(own: Mapping[str, Any], key: str, arm: Arm, scores: Mapping[str, Scores]) -> dict[str, Any]:
    main = main_score(own)
    taught = [
        (scores[name][key].get(main, 0.0), name) for name in arm.teachers if key in scores.get(name, {})
    ]
    teacher = max(taught)[1] if taught else None
    gold_only = arm.gold_only if arm.gold_only and key in scores.get(arm.gold_only, {}) else None
    closed: dict[str, float | None] = dict.fromkeys(score_names(own))
    if teacher and gold_only:
        closed = {
            metric: gap_closed(own[metric], scores[teacher][key][metric], scores[gold_only][key][metric])
            for metric in closed
            if metric in scores[teacher][key] and metric in scores[gold_only][key]
        }
    return {
        "teacher": _named(teacher, key, scores),
        "gold_only": _named(gold_only, key, scores),
        "gap_closed": closed,
    }


def _named(name: str | None, key: str, scores: Mapping[str, Scores]) -> dict[str, Any] | None:
    if name is None:
        return None
    results = scores[name][key]
    return {"name": name, **{metric: results[metric] for metric in score_names(results)}}
