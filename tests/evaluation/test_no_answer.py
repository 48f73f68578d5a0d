"""Questions without an answer, scored as evaluate-v2.0.py does, against its rule written out once more."""

import random

import pytest

from pipeline.evaluation.answers import score_answers
from pipeline.evaluation.fold import Answered, Prediction, fold
from pipeline.evaluation.reader import Span
from pipeline.evaluation.squad import normalise


def answered(golds, text, diff, *, is_impossible=False):
    said = Prediction("id", text, 0, len(text), 0.5)
    return Answered("id", "What is it?", tuple(golds), said, is_impossible, diff)


ROWS = [
    answered(["cat"], "the cat", -2.0),
    answered(["black cat"], "cat", -1.0),
    # Taken back: its null score is above the threshold.
    answered(["dog"], "dog", 0.5),
    answered([], "dog", 3.0, is_impossible=True),
    answered([], "bird", -1.5, is_impossible=True),
]


def test_by_hand():
    rows, scores = score_answers(ROWS, "en")
    assert [row["prediction"] for row in rows] == ["the cat", "cat", None, None, "bird"]
    assert [(row["em"], row["f1"]) for row in rows] == [
        (1, 1),
        (0, pytest.approx(2 / 3)),
        (0, 0),
        (1, 1),
        (0, 0),
    ]
    assert scores["has_answer"] == {"em": pytest.approx(100 / 3), "f1": pytest.approx(500 / 9), "rows": 3}
    assert scores["no_answer"] == {"em": 50.0, "f1": 50.0, "rows": 2}
    assert (scores["em"], scores["f1"]) == (40.0, pytest.approx(100 * (1 + 2 / 3 + 1) / 5))
    assert (scores["rows"], scores["unlabelled"], scores["unanswered"]) == (5, 0, 2)
    # Exact matches begin with 2 (nothing is answered): 3, 2, 2, 3, 2 from the surest answer on.
    best = scores["best"]
    assert (best["em"], best["em_threshold"]) == (60.0, -2.0)
    # F1: 3, 2, 2.67, 3.67, 2.67.
    assert (best["f1"], best["f1_threshold"]) == (pytest.approx(100 * (3 + 2 / 3) / 5), 0.5)


@pytest.mark.parametrize(("threshold", "unanswered"), [(-9.0, 5), (0.0, 2), (9.0, 0)])
def test_a_threshold(threshold, unanswered):
    _, scores = score_answers(ROWS, "en", null_threshold=threshold)
    assert scores["unanswered"] == unanswered
    assert scores["no_answer"]["em"] == {5: 100.0, 2: 50.0, 0: 0.0}[unanswered]


def official(rows, threshold):
    """Mean EM and F1 as the official script has them, by other means: sets and sums over sorted words."""
    em = f1 = 0.0
    for row in rows:
        text = "" if row.null_score_diff > threshold else row.prediction.text
        golds = [gold for gold in row.golds if normalise(gold)] or [""]
        said = normalise(text).split()
        em += max(normalise(gold).split() == said for gold in golds)
        best = 0.0
        for gold in golds:
            wanted = normalise(gold).split()
            shared = sum(min(said.count(word), wanted.count(word)) for word in set(said))
            if not said or not wanted:
                best = max(best, float(said == wanted))
            elif shared:
                precision, recall = shared / len(said), shared / len(wanted)
                best = max(best, 2 * precision * recall / (precision + recall))
        f1 += best
    return 100 * em / len(rows), 100 * f1 / len(rows)


@pytest.fixture
def many():
    draw = random.Random(0)
    words = ["the", "cat", "dog", "sat", "a"]

    def text():
        return " ".join(draw.choices(words, k=draw.randint(1, 3)))

    return [
        answered([], text(), draw.gauss(0, 2), is_impossible=True)
        if draw.random() < 0.5
        else answered([text() for _ in range(draw.randint(1, 2))], text(), draw.gauss(0, 2))
        for _ in range(200)
    ]


def test_the_official_rule(many):
    for threshold in (-1.0, 0.0, 1.0):
        _, scores = score_answers(many, "en", null_threshold=threshold)
        assert (scores["em"], scores["f1"]) == pytest.approx(official(many, threshold))
        parts = [[row for row in many if row.is_impossible is kind] for kind in (False, True)]
        for name, part in zip(("has_answer", "no_answer"), parts, strict=True):
            assert (scores[name]["em"], scores[name]["f1"]) == pytest.approx(official(part, threshold))
            assert scores[name]["rows"] == len(part)


def test_the_best_threshold_is_the_best_of_all(many):
    # Of answers of which the metric leaves nothing, the official search has another opinion than the scores.
    rows = [
        row
        for row in many
        if normalise(row.prediction.text) and (row.is_impossible or any(map(normalise, row.golds)))
    ]
    _, scores = score_answers(rows, "en")
    tried = [official(rows, row.null_score_diff) for row in rows] + [official(rows, -1e9)]
    for at, name in enumerate(("em", "f1")):
        assert scores["best"][name] == pytest.approx(max(pair[at] for pair in tried))
        assert official(rows, scores["best"][f"{name}_threshold"])[at] == pytest.approx(scores["best"][name])


def test_without_such_questions_nothing_is_said_of_them():
    _, scores = score_answers(ROWS[:3], "en")
    assert not {"has_answer", "no_answer", "best"} & scores.keys()
    assert scores["unanswered"] == 0


def test_a_reader_that_cannot_say_so_has_no_best_threshold():
    rows = [answered(["cat"], "cat", None), answered([], "dog", None, is_impossible=True)]
    _, scores = score_answers(rows, "en")
    assert scores["no_answer"] == {"em": 0.0, "f1": 0.0, "rows": 1}
    assert "best" not in scores


def test_of_windows_the_lowest_null_score_counts(passage):
    rows = [passage("w1 w2", 0, 0), passage("w3 w4", 0, 1), passage("w5", 1)]
    # By logits the second window answers, though the first is surer of itself.
    spans = [Span(0, 2, -0.1, 2.0, 1.0), Span(0, 2, -2.0, 3.0, 4.0), Span(0, 2, -1.0)]
    first, second = fold(rows, spans, with_null=True)
    assert (first.prediction.text, first.null_score_diff) == ("w3", 1.0 - 3.0)
    assert second.null_score_diff is None
    # A reader that cannot say so has no logits here, and is as sure as its probabilities.
    mute = [Span(0, 2, -2.0), Span(0, 2, -0.1), Span(0, 2, -1.0)]
    assert fold(rows, mute, with_null=True)[0].prediction.text == "w3"
    assert fold(rows, spans)[0].prediction.text == "w1"
    assert fold(rows, spans)[0].null_score_diff is None
