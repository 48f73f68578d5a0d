"""Scores that the rows of a set have together and none by itself, made to be taken over any rows.

Each is a function of facts, a row of numbers for each row of the set. Over all rows its numbers are those of
`pipeline.tasks.scores`, whose libraries take seconds where a comparison asks thousands of times.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.stats import rankdata
from seqeval.metrics.sequence_labeling import get_entities

from pipeline.tasks import REGRESSION, RELEVANCE, TAGGING
from pipeline.tasks.judged import tags_of_words

Rows = Sequence[Mapping[str, Any]]
Facts = Float64[np.ndarray, "rows facts"]


class JointScore(NamedTuple):
    """A score in percent, and the facts of a reader's rows that it is taken from."""

    name: str
    facts: Callable[[Rows], Facts]
    score: Callable[[Facts], float]


def entities(rows: Rows) -> Facts:
    """Of each row how many entities are right, were predicted, and are there."""
    found = []
    for row in rows:
        golds = list(row["golds"])
        given, there = (
            set(get_entities(list(tags_of_words(row["prediction"], golds)))),
            set(get_entities(golds)),
        )
        found.append((len(given & there), len(given), len(there)))
    return np.array(found, np.float64)


def entity_f1(facts: Facts) -> float:
    """F1 of entities, as conlleval has it; 0 without any."""
    right, given, there = facts.sum(axis=0)
    return float(200 * right / max(given + there, 1))


def relevances(rows: Rows) -> Facts:
    """Of each row whether it is relevant, and where the reader puts it among all rows.

    The second class is the relevant one, which need not be said: the label that was predicted is that of the
    higher value. Places, not values, for one reader's may all be lower than another's.
    """
    says_relevant = [int(np.argmax(row["values"])) == len(row["values"]) - 1 for row in rows]
    is_relevant = [
        (row["golds"] == row["prediction"]) == says for row, says in zip(rows, says_relevant, strict=True)
    ]
    return np.column_stack([is_relevant, rankdata([row["values"][-1] for row in rows])]).astype(np.float64)


def area(facts: Facts) -> float:
    """The area under the ROC curve; 50, as by chance, where all rows are of one class."""
    relevant = facts[:, 0] > 0
    wanted, others = int(relevant.sum()), int((~relevant).sum())
    if not wanted or not others:
        return 50.0
    ranks = rankdata(facts[:, 1])[relevant].sum()
    return float(100 * (ranks - wanted * (wanted + 1) / 2) / (wanted * others))


def numbers(rows: Rows) -> Facts:
    """Of each row the gold number, and the predicted one as so many deviations from the mean of all."""
    golds = np.array([float(row["golds"][0]) for row in rows])
    given = np.array([float(row["values"][0]) for row in rows])
    return np.column_stack([golds, (given - given.mean()) / (given.std() or 1.0)])


def pearson(facts: Facts) -> float:
    """Pearson's correlation; 0 where one side is constant."""
    if not np.ptp(facts, axis=0).all():
        return 0.0
    return float(100 * np.corrcoef(facts.T)[0, 1])


# By task.
JOINT: Mapping[str, JointScore] = {
    RELEVANCE: JointScore("auc", relevances, area),
    REGRESSION: JointScore("pearson", numbers, pearson),
    TAGGING: JointScore("f1", entities, entity_f1),
}
