"""Paired differences, against all 2^n signs, an exact sign test and the normal distribution."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from pipeline.errors import DataError
from pipeline.report.paired import EM, ERROR, F1, RIGHT, differences
from pipeline.tasks.judged import Judged
from pipeline.tasks.scores import of_numbers, of_relevance, of_tags


def spans(*f1):
    return [{"id": str(at), "em": float(value == 1), "f1": value} for at, value in enumerate(f1)]


def labelled(predictions, golds):
    pairs = enumerate(zip(predictions, golds, strict=True))
    return [
        {"id": str(at), "prediction": list(said), "values": [], "golds": list(gold)}
        for at, (said, gold) in pairs
    ]


def test_all_signs_are_as_likely():
    one = (0.1, 0.5, 1.0, 0.2, 0.9, 0.4, 0.0, 0.3, 0.6, 0.75)
    other = (0.4, 0.6, 1.0, 0.9, 0.8, 0.45, 0.35, 1.0, 0.6, 0.5)
    em, f1 = differences(spans(*one), spans(*other), "span")
    assert (em.score, f1.score) == (EM, F1)
    assert f1.difference == pytest.approx(100 * np.mean(np.subtract(other, one)))
    apart = np.subtract(other, one)
    means = np.array([np.mean(apart * signs) for signs in product((-1, 1), repeat=10)])
    assert f1.p_value == pytest.approx(np.mean(np.abs(means) >= abs(apart.mean()) - 1e-12), abs=0.02)
    assert (em.one, em.other, em.rows) == (10.0, 20.0, 10)


def test_right_and_wrong_are_a_sign_test():
    rng = np.random.default_rng(1)
    golds = [("yes",)] * 400
    one, other = ([("yes",) if right else ("no",) for right in rng.random(400) < rate] for rate in (0.7, 0.8))
    (found,) = differences(labelled(one, golds), labelled(other, golds), "classification")
    won = sum(b == ("yes",) != a for a, b in zip(one, other, strict=True))
    lost = sum(a == ("yes",) != b for a, b in zip(one, other, strict=True))
    assert (found.score, found.rows) == (RIGHT, 400)
    assert found.difference == pytest.approx(100 * (won - lost) / 400)
    assert found.p_value == pytest.approx(binomtest(won, won + lost).pvalue, abs=0.02)
    apart = 100 * np.array(
        [(b == ("yes",)) - (a == ("yes",)) for a, b in zip(one, other, strict=True)], float
    )
    spread = norm.ppf(0.975) * apart.std() / 20
    assert found.interval == pytest.approx((found.difference - spread, found.difference + spread), abs=0.5)


def test_what_is_the_same_does_not_differ():
    (em, f1) = differences(spans(0.5, 1.0), spans(0.5, 1.0), "span")
    for found in (em, f1):
        assert (found.difference, found.interval, found.p_value) == (0.0, (0.0, 0.0), 1.0)
    (_, single) = differences(spans(0.5), spans(1.0), "span")
    assert (single.difference, single.interval) == (50.0, (50.0, 50.0))


@pytest.mark.parametrize(
    ("task", "said", "gold", "right"),
    [
        ("multi_label", "ab", "ba", True),
        ("multi_label", "a", "ab", False),
        ("tagging", ["B-LOC", "O"], ["B-LOC", "O"], True),
        ("tagging", ["O", "B-LOC"], ["B-LOC", "O"], False),
        ("tagging", ["B-LOC"], ["B-LOC", "O"], True),
        ("tagging", ["B-LOC"], ["B-LOC", "B-LOC"], False),
    ],
)
def test_a_row_is_right_where_all_its_labels_are(task, said, gold, right):
    found, *_ = differences(labelled([said], [gold]), labelled([gold], [gold]), task)
    assert (found.one, found.other) == (100.0 * right, 100.0)


def test_of_numbers_the_error_counts():
    golds = [{"id": "0", "values": [2.5], "golds": ["3.0"]}, {"id": "1", "values": [1.0], "golds": None}]
    better = [{**row, "values": [3.25]} for row in golds]
    found, correlation = differences(golds, better, "regression")
    assert (found.score, found.rows, found.one, found.other) == (ERROR, 1, 0.5, 0.25)
    # Of a single row there is no correlation.
    assert (correlation.score, correlation.difference, correlation.p_value) == ("pearson", 0.0, 1.0)


def ranked(values, relevant, questions):
    """Predictions of relevance: of the classes no and yes, the second one."""
    return [
        {
            "id": str(at),
            "question": question,
            "prediction": ["yes" if value > 0.5 else "no"],
            "values": [1 - value, value],
            "golds": ["yes" if is_relevant else "no"],
        }
        for at, (value, is_relevant, question) in enumerate(zip(values, relevant, questions, strict=True))
    ]


def auc(values, relevant):
    """How many pairs of a relevant row and another one are in the right order, ties by half."""
    apart = np.subtract.outer(np.array(values)[relevant], np.array(values)[~relevant])
    return 100 * np.mean((apart > 0) + 0.5 * (apart == 0))


def test_ranks_are_compared_by_questions():
    rng = np.random.default_rng(3)
    questions = np.repeat(list("abcdefgh"), 4)
    relevant = np.arange(32) % 4 == 0
    one, other = rng.random(32), rng.random(32) * 0.5 + 0.4 * relevant
    said = [ranked(values, relevant, questions) for values in (one, other)]
    rows, area, mean_precision, reciprocal = differences(*said, "relevance")
    assert [part.score for part in (rows, area, mean_precision, reciprocal)] == [RIGHT, "auc", "map", "mrr"]
    assert area.one == pytest.approx(auc(one, relevant))
    assert area.difference == pytest.approx(auc(other, relevant) - auc(one, relevant))
    # All ways to give each question's rows of one reader to the other, by their places among all rows.
    swapped = []
    one, other = one.argsort().argsort(), other.argsort().argsort()
    for signs in product((False, True), repeat=8):
        swap = np.repeat(signs, 4)
        first, second = np.where(swap, other, one), np.where(swap, one, other)
        swapped.append(auc(second, relevant) - auc(first, relevant))
    assert area.p_value == pytest.approx(np.mean(np.abs(swapped) >= abs(area.difference) - 1e-9), abs=0.02)
    drawn = []
    for _ in range(1500):
        own = (rng.integers(0, 8, 8)[:, None] * 4 + np.arange(4)).ravel()
        drawn.append(auc(other[own], relevant[own]) - auc(one[own], relevant[own]))
    assert area.interval == pytest.approx(tuple(np.quantile(drawn, (0.025, 0.975))), abs=4)
    # One row of four is relevant, so either score of a question is one over its place.
    places = np.array([(one[at : at + 4] >= one[at]).sum() for at in range(0, 32, 4)])
    assert mean_precision.one == reciprocal.one == pytest.approx(100 * np.mean(1 / places))
    assert (mean_precision.rows, area.rows) == (8, 32)


def test_rows_of_one_class_have_no_area():
    rows = ranked([0.4, 0.6], [True, True], "ab")
    assert [part.score for part in differences(rows, rows, "relevance")] == [RIGHT, "map", "mrr"]


def test_ranks_without_questions_are_refused():
    rows = [
        {name: value for name, value in row.items() if name != "question"}
        for row in ranked([0.4], [True], "a")
    ]
    with pytest.raises(DataError, match="evaluate both readers again"):
        differences(rows, rows, "relevance")


def test_the_relevant_class_is_known_where_nobody_predicts_it():
    said = [ranked(values, [True, False, False], "aab") for values in ([0.4, 0.1, 0.2], [0.1, 0.2, 0.3])]
    _, area, *_ = differences(*said, "relevance")
    assert (area.one, area.other) == (100.0, 0.0)


def test_scores_over_all_rows_are_the_official_ones():
    rng = np.random.default_rng(5)
    tags = ["O", "B-A", "I-A", "B-B", "I-B"]
    golds, given = ([[tags[at] for at in rng.integers(0, 5, 6)] for _ in range(40)] for _ in range(2))
    judged = [Judged(tuple(said), (), tuple(gold)) for said, gold in zip(given, golds, strict=True)]
    _, found = differences(labelled(given, golds), labelled(golds, golds), "tagging")
    assert (found.score, found.other) == ("f1", 100.0)
    assert found.one == pytest.approx(of_tags(judged, [])["f1"])

    values, relevant = np.round(rng.random(60), 1), rng.random(60) < 0.3
    rows = ranked(values, relevant, [str(at // 6) for at in range(60)])
    judged = [
        Judged(tuple(row["prediction"]), tuple(row["values"]), tuple(row["golds"]), row["question"])
        for row in rows
    ]
    expected = of_relevance(judged, ["no", "yes"])
    _, *ranks = differences(rows, rows, "relevance")
    assert {part.score: part.one for part in ranks} == pytest.approx(
        {name: expected[name] for name in ("auc", "map", "mrr")}
    )

    pairs = rng.random((30, 2))
    numbers = [{"id": str(at), "values": [a], "golds": [str(b)]} for at, (a, b) in enumerate(pairs.tolist())]
    _, correlation = differences(numbers, numbers, "regression")
    judged = [Judged((), tuple(row["values"]), tuple(row["golds"])) for row in numbers]
    assert correlation.one == pytest.approx(of_numbers(judged, [])["pearson"])


def test_what_cannot_be_compared():
    with pytest.raises(DataError, match="same rows in the same order; got 1 and 2 rows"):
        differences(spans(1.0), spans(1.0, 0.0), "span")
    with pytest.raises(DataError, match="no row with gold labels"):
        differences([{"id": "0"}], [{"id": "0"}], "span")
    with pytest.raises(DataError, match="vectors, which are scored together"):
        differences(labelled([""], ["a"]), labelled([""], ["a"]), "sentence")


def test_rows_whose_labels_have_changed_are_not_compared():
    one, other = (labelled([("no",), ("yes",)], golds) for golds in ([("no",)] * 2, [("no",), ("yes",)]))
    with pytest.raises(DataError, match="other gold labels in 1 of 2 rows"):
        differences(one, other, "classification")
