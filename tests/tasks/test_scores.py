"""Every score against one worked out here, by counting."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from pipeline.tasks.scores import (
    Judged,
    of_class_sets,
    of_classes,
    of_numbers,
    of_relevance,
    of_similarities,
    of_tags,
)

RANDOM = np.random.default_rng(3)


def counts(golds, given, name):
    right = sum(g == p == name for g, p in zip(golds, given, strict=True))
    return right, sum(p == name for p in given), sum(g == name for g in golds)


def f1(right, given, wanted):
    return 2 * right / (given + wanted) if given + wanted else 0.0


@pytest.mark.parametrize("classes", [("no", "yes"), ("a", "b", "c")])
def test_classes(classes):
    golds, given = (RANDOM.choice(classes, 60).tolist() for _ in range(2))
    found = of_classes([Judged((p,), (), (g,)) for p, g in zip(given, golds, strict=True)], classes)
    assert list(found) == ["accuracy", "f1", "matthews"]
    assert found["accuracy"] == pytest.approx(
        100 * np.mean([g == p for g, p in zip(golds, given, strict=True)])
    )
    counted = [f1(*counts(golds, given, name)) for name in (classes if len(classes) > 2 else classes[1:])]
    assert found["f1"] == pytest.approx(100 * np.mean(counted))
    # Matthews' coefficient of K classes: the correlation of indicators, covariances summed over classes.
    one = np.array([[g == name for name in classes] for g in golds], float)
    other = np.array([[p == name for name in classes] for p in given], float)

    def covariance(x, y):
        return ((x - x.mean(0)) * (y - y.mean(0))).sum()

    expected = covariance(one, other) / math.sqrt(covariance(one, one) * covariance(other, other))
    assert found["matthews"] == pytest.approx(100 * expected)


def test_a_gold_label_that_the_model_does_not_know_is_missed():
    found = of_classes([Judged(("a",), (), ("a",)), Judged(("b",), (), ("x",))], ("a", "b"))
    assert found["accuracy"] == 50


def test_relevance():
    rows, values = [], RANDOM.random(40).round(2)
    golds = RANDOM.random(40) < 0.3
    for at in range(40):
        label = "1" if values[at] > 0.5 else "0"
        rows.append(
            Judged((label,), (1 - values[at], values[at]), ("1" if golds[at] else "0",), f"question {at % 8}")
        )
    found = of_relevance(rows, ("0", "1"))
    pairs = [
        (values[i], values[j]) for i, j in itertools.product(range(40), range(40)) if golds[i] > golds[j]
    ]
    auc = np.mean([1.0 if one > other else 0.5 if one == other else 0.0 for one, other in pairs])
    assert found["auc"] == pytest.approx(100 * auc)

    precisions, ranks = [], []
    for question in range(8):
        own = sorted(range(question, 40, 8), key=lambda at: -values[at])
        hits = [rank for rank, at in enumerate(own, 1) if golds[at]]
        if hits:
            precisions.append(np.mean([number / rank for number, rank in enumerate(hits, 1)]))
            ranks.append(1 / hits[0])
    assert found["map"] == pytest.approx(100 * np.mean(precisions))
    assert found["mrr"] == pytest.approx(100 * np.mean(ranks))


def test_rows_of_one_class_have_no_curve():
    found = of_relevance([Judged(("0",), (0.7, 0.3), ("0",), "q")] * 3, ("0", "1"))
    assert found == {"accuracy": 100, "f1": 0, "matthews": 0}


def test_numbers():
    golds, given = RANDOM.normal(size=30).round(1), RANDOM.normal(size=30).round(1)
    found = of_numbers([Judged(("",), (p,), (str(g),)) for p, g in zip(given, golds, strict=True)], ())

    def ranks(values):
        return np.array([np.mean(np.flatnonzero(np.sort(values) == value)) for value in values])

    def correlation(x, y):
        return ((x - x.mean()) * (y - y.mean())).mean() / (x.std() * y.std())

    assert found["pearson"] == pytest.approx(100 * correlation(golds, given))
    assert found["spearman"] == pytest.approx(100 * correlation(ranks(golds), ranks(given)))
    constant = [Judged(("",), (1.0,), (str(g),)) for g in golds]
    assert of_numbers(constant, ()) == {"pearson": 0, "spearman": 0}


def test_class_sets():
    classes = ("joy", "fear", "anger")
    golds, given = RANDOM.random((2, 25, 3)) < 0.4
    rows = [
        Judged(tuple(np.array(classes)[p].tolist()), (), tuple(np.array(classes)[g].tolist()))
        for p, g in zip(given, golds, strict=True)
    ]
    found = of_class_sets(rows, classes)
    assert found["f1"] == pytest.approx(100 * f1((golds & given).sum(), given.sum(), golds.sum()))
    each = [f1((golds & given)[:, n].sum(), given[:, n].sum(), golds[:, n].sum()) for n in range(3)]
    assert found["macro_f1"] == pytest.approx(100 * np.mean(each))
    assert found["accuracy"] == pytest.approx(100 * (golds == given).all(1).mean())


def entities(tags):
    found, start = set(), None
    for at, tag in enumerate([*tags, "O"]):
        goes_on = start is not None and tag == f"I-{tags[start][2:]}"
        if start is not None and not goes_on:
            found.add((start, at, tags[start][2:]))
            start = None
        if tag != "O" and start is None:
            start = at
    return found


def test_tags():
    golds = [("B-LOC", "I-LOC", "O", "B-PER"), ("O", "B-PER", "B-PER", "I-PER"), ("O",)]
    given = [("B-LOC", "I-LOC", "O", "B-LOC"), ("B-PER", "I-PER", "B-PER", "I-PER"), ("I-LOC",)]
    found = of_tags([Judged(p, (), g) for p, g in zip(given, golds, strict=True)], ())
    pairs = [(entities(list(g)), entities(list(p))) for g, p in zip(golds, given, strict=True)]
    right, wanted, said = (
        sum(len(g & p) for g, p in pairs),
        sum(len(g) for g, _ in pairs),
        sum(len(p) for _, p in pairs),
    )
    assert found["precision"] == pytest.approx(100 * right / said)
    assert found["recall"] == pytest.approx(100 * right / wanted)
    assert found["f1"] == pytest.approx(100 * f1(right, said, wanted))


def similar(values, golds):
    return [Judged((), (value,), (gold,)) for value, gold in zip(values, golds, strict=True)]


@for_all(
    st.lists(st.tuples(st.sampled_from([-0.5, 0.0, 0.25, 0.3, 0.9]), st.booleans()), min_size=1, max_size=12)
)
def test_the_best_threshold_is_the_best_of_all(rows):
    values, positive = zip(*rows, strict=True)
    golds = ["1" if flag else "0" for flag in positive]
    scores = of_similarities(similar(values, golds), ("0", "1"))
    tried = [[value >= threshold for value in values] for threshold in (*values, 2.0)]
    assert scores["accuracy"] == pytest.approx(100 * max(accuracy_score(positive, given) for given in tried))
    best = max(f1_score(positive, given, zero_division=0) for given in tried)
    assert scores["f1"] == pytest.approx(100 * best)
    assert ("auc" in scores) == (len(set(positive)) == 2)
    if "auc" in scores:
        assert scores["auc"] == pytest.approx(100 * roc_auc_score(positive, values))


def test_cosines_against_numbers_are_correlations():
    values, golds = [0.9, 0.1, 0.4, 0.7], ["5.0", "0.2", "3.5", "2.0"]
    scores = of_similarities(similar(values, golds), ())
    numbers = [float(gold) for gold in golds]
    assert scores == {
        "pearson": pytest.approx(100 * pearsonr(numbers, values).statistic),
        "spearman": pytest.approx(100 * spearmanr(numbers, values).statistic),
    }
