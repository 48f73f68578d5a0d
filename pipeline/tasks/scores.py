"""Scores of a data set's predictions, in percent, by the libraries whose numbers are the official ones.

A function takes what was predicted and the gold labels of the rows that have some, one of each a row, and
gives scores by name, the main one first.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import pearsonr, spearmanr
from seqeval.metrics import f1_score as entity_f1
from seqeval.metrics import precision_score as entity_precision
from seqeval.metrics import recall_score as entity_recall
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    f1_score,
    matthews_corrcoef,
    roc_auc_score,
)

from pipeline.tasks.judged import Judged

Scores = dict[str, float]


def of_classes(rows: Sequence[Judged], classes: Sequence[str]) -> Scores:
    """Accuracy, F1 and Matthews' correlation.

    F1 is that of the second class where there are two, as GLUE has it, else the mean over classes.
    """
    golds, given = [row.golds[0] for row in rows], [row.labels[0] for row in rows]
    counted = [classes[1]] if len(classes) == 2 else list(classes)
    return {
        "accuracy": 100 * float(accuracy_score(golds, given)),
        "f1": 100 * float(f1_score(golds, given, labels=counted, average="macro", zero_division=0)),
        # Of one class alone there is no correlation; the library warns of it.
        "matthews": 100 * float(matthews_corrcoef(golds, given)) if len({*golds, *given}) > 1 else 0.0,
    }


def of_relevance(rows: Sequence[Judged], classes: Sequence[str]) -> Scores:
    """Those of classes, the area under the ROC curve, and MAP and MRR over questions with a relevant row.

    The second class is the relevant one. Where rows are of one class there is no curve, and no area.
    """
    relevant = np.array([row.golds[0] == classes[-1] for row in rows])
    values = np.array([row.values[-1] for row in rows])
    ranks = ranks_of_questions(relevant, values, grouped(row.group for row in rows))
    area = {"auc": 100 * float(roc_auc_score(relevant, values))} if 0 < relevant.sum() < len(rows) else {}
    return {
        **of_classes(rows, classes),
        **area,
        **{name: float(np.mean(found)) for name, found in ranks.items() if found},
    }


def grouped(names: Iterable[str]) -> list[list[int]]:
    """The places of equal names, name by name."""
    groups: dict[str, list[int]] = {}
    for at, name in enumerate(names):
        groups.setdefault(name, []).append(at)
    return list(groups.values())


def ranks_of_questions(
    relevant: Bool[np.ndarray, " rows"],
    values: Float[np.ndarray, " rows"],
    questions: Sequence[Sequence[int]],
) -> dict[str, list[float]]:
    """Average precision and reciprocal rank, in percent, of each question that has a relevant row."""
    asked = [places for places in questions if relevant[places].any()]
    return {
        "map": [100 * float(average_precision_score(relevant[rows], values[rows])) for rows in asked],
        "mrr": [100 * _reciprocal_rank(relevant[rows], values[rows]) for rows in asked],
    }


def of_numbers(rows: Sequence[Judged], classes: Sequence[str]) -> Scores:
    """Pearson's and Spearman's correlation; 0 where one side is constant, for then there is none."""
    golds = np.array([float(row.golds[0]) for row in rows])
    given = np.array([row.values[0] for row in rows])
    if len(rows) < 2 or np.ptp(golds) == 0 or np.ptp(given) == 0:
        return {"pearson": 0.0, "spearman": 0.0}
    return {
        "pearson": 100 * float(pearsonr(golds, given).statistic),
        "spearman": 100 * float(spearmanr(golds, given).statistic),
    }


def of_similarities(rows: Sequence[Judged], classes: Sequence[str]) -> Scores:
    """How well cosines tell what is said of pairs: correlations with numbers, or scores of the second class.

    Source: Wu et al. 2020, arXiv:2004.03097, table 5, gives accuracy and F1 on QQP and not the threshold.
    Here either is the best that a threshold reaches on the rows that are scored, so it is the best case of
    the vectors; the area under the ROC curve needs none.
    """
    if not classes:
        return of_numbers(rows, classes)
    values = np.array([row.values[0] for row in rows])
    is_second = np.array([row.golds[0] == classes[-1] for row in rows])
    order = np.argsort(-values, kind="stable")
    # Rows that tie fall on one side of a threshold together.
    ends = np.flatnonzero(np.diff(values[order], append=-np.inf))
    found, taken = np.cumsum(is_second[order])[ends], ends + 1
    wanted, count = int(is_second.sum()), len(rows)
    right = np.concatenate([[count - wanted], count - wanted + 2 * found - taken])
    area = {"auc": 100 * float(roc_auc_score(is_second, values))} if 0 < wanted < count else {}
    return {
        "accuracy": 100 * float(right.max()) / count,
        "f1": 100 * float((2 * found / (taken + wanted)).max()),
        **area,
    }


def of_class_sets(rows: Sequence[Judged], classes: Sequence[str]) -> Scores:
    """F1 over all decisions (micro), its mean over classes (macro), and the share of rows without error."""
    golds, given = (
        np.array([[name in named for name in classes] for named in side])
        for side in ([row.golds for row in rows], [row.labels for row in rows])
    )
    return {
        "f1": 100 * float(f1_score(golds, given, average="micro", zero_division=0)),
        "macro_f1": 100 * float(f1_score(golds, given, average="macro", zero_division=0)),
        "accuracy": 100 * float(accuracy_score(golds, given)),
    }


def of_tags(rows: Sequence[Judged], classes: Sequence[str]) -> Scores:
    """Entity F1, precision and recall, as conlleval counts entities."""
    golds, given = [list(row.golds) for row in rows], [list(row.labels) for row in rows]
    return {
        "f1": 100 * float(entity_f1(golds, given, zero_division=0)),
        "precision": 100 * float(entity_precision(golds, given, zero_division=0)),
        "recall": 100 * float(entity_recall(golds, given, zero_division=0)),
    }


def _reciprocal_rank(relevant: np.ndarray, values: np.ndarray) -> float:
    """Of the best relevant row; rows that tie with it stand before it."""
    best = values[relevant].max()
    return 1.0 / (1 + int((values[~relevant] >= best).sum()))
