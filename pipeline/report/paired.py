"""Whether two readers differ by more than which rows they happened to be scored on.

Both have read the same rows, so it is the difference on each row that is looked at. What a seed does to a
student is another matter, and takes several trainings to see.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import bootstrap, permutation_test

from pipeline.errors import DataError
from pipeline.report.joint_scores import JOINT, Facts, JointScore, Rows
from pipeline.tasks import RELEVANCE, TASKS
from pipeline.tasks.judged import tags_of_words
from pipeline.tasks.scores import grouped, ranks_of_questions

EM, F1, RIGHT, ERROR = "em", "f1", "rows right", "absolute error"

_RESAMPLES, _JOINT_RESAMPLES, _AT_ONCE = 9999, 1999, 64


@dataclass(frozen=True, slots=True)
class Difference:
    """How one score of the same rows differs between two readers.

    Scores are in percent, an error in the unit of the numbers. `interval` is where 95 % of the
    mean differences of as many rows, drawn again from these, lie. `p_value` is how often so large a one
    comes about if for each row it is chance which of the two readers has which of its two scores.
    """

    score: str
    rows: int
    one: float
    other: float
    interval: tuple[float, float]
    p_value: float

    @property
    def difference(self) -> float:
        """What the other has more than the one."""
        return self.other - self.one


def differences(one: Rows, other: Rows, task: str) -> list[Difference]:
    """How the predictions of two readers differ on one evaluation set, by each score that a row has.

    These are EM and F1 of a span, whether all labels of a row are right, and the error of a number. A span
    of a question that is taken to have no answer is scored as in `score_answers`. Beside them stand scores
    that rows have together: F1 of entities, Pearson's correlation, and of relevance the area under the ROC
    curve, MAP and MRR, where it is questions that are drawn, with all their rows.

    Args:
        one: The predictions of a reader, as `evaluate` writes them; rows without gold labels do not count.
        other: Those of another, of the same rows.
        task: What was predicted.

    Raises:
        DataError: They are not predictions of the same rows, or no row has a score.

    Source: bootstrap resampling of rows, Koehn 2004; permutation by random signs, Noreen 1989 (approximate
    randomization), as Yeh 2000 has it for scores of language tasks.
    """
    if [row["id"] for row in one] != [row["id"] for row in other]:
        raise DataError(
            "predictions",
            expected="both readers' of the same rows in the same order",
            got=f"{len(one):,} and {len(other):,} rows whose ids differ",
            remedy="evaluate both on the set as it is now",
        )
    moved = sum(own.get("golds") != its.get("golds") for own, its in zip(one, other, strict=True))
    if moved:
        raise DataError(
            "predictions",
            expected="both readers' of the same rows, with the same gold labels",
            got=f"other gold labels in {moved:,} of {len(one):,} rows",
            remedy="evaluate both on the set as it is now",
        )
    labels = TASKS[task].labels
    pairs = [(own, its) for own, its in zip(one, other, strict=True) if _labelled(own, labels)]
    if not pairs or labels == "none":
        raise DataError(
            "predictions",
            expected="rows that each have a score",
            got="no row with gold labels" if not pairs else "vectors, which are scored together",
            remedy="compare on another set",
        )
    own, its = zip(*pairs, strict=True)
    found = [
        _difference(name, *(np.array([score(row) for row in rows]) for rows in (own, its)))
        for name, score in _scores(labels).items()
    ]
    if task in JOINT:
        found += _jointly(task, own, its)
    return found


def _labelled(row: Mapping[str, Any], labels: str) -> bool:
    return EM in row if labels == "answers" else row["golds"] is not None


def _scores(labels: str) -> dict[str, Callable[[Mapping[str, Any]], float]]:
    """What a row is scored by."""
    if labels == "answers":
        return {EM: lambda row: 100 * row[EM], F1: lambda row: 100 * row[F1]}
    if labels == "number":
        return {ERROR: lambda row: abs(row["values"][0] - float(row["golds"][0]))}
    same = _same_tags if labels == "tags" else _same_classes
    return {RIGHT: lambda row: 100.0 * same(row["prediction"], row["golds"])}


def _same_classes(predicted: Sequence[str], golds: Sequence[str]) -> bool:
    return set(predicted) == set(golds)


def _same_tags(predicted: Sequence[str], golds: Sequence[str]) -> bool:
    return tags_of_words(predicted, golds) == tuple(golds)


def _jointly(task: str, own: Rows, its: Rows) -> list[Difference]:
    joint = JOINT[task]
    one, other = joint.facts(own), joint.facts(its)
    if task != RELEVANCE:
        return [_joint_difference(joint, one, other, [[at] for at in range(len(own))])]
    if any("question" not in row for row in own):
        raise DataError(
            "predictions",
            expected="the question of every row, by which rows are ranked",
            got="rows without one",
            remedy="they were written by an earlier version: evaluate both readers again",
        )
    questions = grouped(row["question"] for row in own)
    ranks, others = (ranks_of_questions(side[:, 0] > 0, side[:, 1], questions) for side in (one, other))
    found = [_joint_difference(joint, one, other, questions)] if np.ptp(one[:, 0]) else []
    return found + [
        _difference(name, np.array(ranks[name]), np.array(others[name])) for name in ranks if ranks[name]
    ]


def _joint_difference(
    joint: JointScore, one: Facts, other: Facts, units: Sequence[Sequence[int]]
) -> Difference:
    """As `_difference`, of a score that is taken anew from what is drawn; units are drawn as a whole."""
    unit_rows, counts = np.concatenate(units), np.array([len(rows) for rows in units])
    starts = np.cumsum(counts) - counts
    unit_of_row = np.empty(len(one), np.int64)
    unit_of_row[unit_rows] = np.repeat(np.arange(len(units)), counts)

    def of_drawn(drawn: np.ndarray) -> float:
        ends = np.cumsum(counts[drawn])
        before = ends - counts[drawn]
        rows = unit_rows[np.repeat(starts[drawn] - before, counts[drawn]) + np.arange(ends[-1])]
        return joint.score(other[rows]) - joint.score(one[rows])

    def of_signs(signs: np.ndarray) -> float:
        swapped = (signs < 0)[unit_of_row][:, None]
        return joint.score(np.where(swapped, one, other)) - joint.score(np.where(swapped, other, one))

    options: dict[str, Any] = {"n_resamples": _JOINT_RESAMPLES, "vectorized": False, "rng": 0}
    scores = joint.score(one), joint.score(other)
    interval, p_value = (scores[1] - scores[0],) * 2, 1.0
    if len(units) > 1 and not np.array_equal(one, other):
        numbers = np.arange(len(units))
        low, high = bootstrap((numbers,), of_drawn, method="percentile", **options).confidence_interval
        interval = float(low), float(high)
        signs = np.ones(len(units))
        p_value = float(permutation_test((signs,), of_signs, permutation_type="samples", **options).pvalue)
    return Difference(joint.name, len(one), *scores, interval, p_value)


def _difference(name: str, one: np.ndarray, other: np.ndarray) -> Difference:
    apart = other - one
    interval, p_value = (float(apart.mean()),) * 2, 1.0
    drawn: dict[str, Any] = {"n_resamples": _RESAMPLES, "batch": _AT_ONCE, "rng": 0}
    if len(apart) > 1:
        low, high = bootstrap((apart,), np.mean, method="percentile", **drawn).confidence_interval
        interval = float(low), float(high)
    # Rows on which both score alike have no sign to be drawn, and one alone is as far from 0 with either.
    moved = apart[apart != 0]
    if len(moved) > 1:
        p_value = float(permutation_test((moved,), np.mean, permutation_type="samples", **drawn).pvalue)
    return Difference(name, len(apart), float(one.mean()), float(other.mean()), interval, p_value)
