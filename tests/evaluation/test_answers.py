"""Scores by question word, against counts taken by hand and by another route."""

import numpy as np
import pytest

from pipeline.evaluation.answers import score_answers
from pipeline.evaluation.fold import Answered, Prediction


def answered(question, golds, text):
    said = None if text is None else Prediction("id", text, 0, len(text), 0.5)
    return Answered("id", question, tuple(golds), said)


ROWS = [
    answered("What is it?", ["cat"], "the cat"),
    answered("And what was it?", ["black cat"], "cat"),
    answered("Who is it?", ["dog"], None),
    answered("Who was it?", ["dog"], "dog"),
    answered("Who has no label?", [], "dog"),
    answered("Is it?", ["yes"], "no"),
]


def test_by_hand():
    _, scores = score_answers(ROWS, "en")
    assert scores.pop("by_question_word") == {
        "what": {"em": 50.0, "f1": pytest.approx(100 * (1 + 2 / 3) / 2), "rows": 2},
        "who": {"em": 50.0, "f1": 50.0, "rows": 2},
        "be": {"em": 0.0, "f1": 0.0, "rows": 1},
    }
    assert scores == {
        "em": 40.0,
        "f1": pytest.approx(100 * (1 + 2 / 3 + 1) / 5),
        "rows": 5,
        "unlabelled": 1,
        "unanswered": 1,
    }


def test_classes_add_up_to_the_whole():
    rows, scores = score_answers(ROWS * 3, "en")
    parts = scores["by_question_word"].values()
    assert sum(part["rows"] for part in parts) == scores["rows"] == 15
    for name in ("em", "f1"):
        weighted = sum(part[name] * part["rows"] for part in parts) / scores["rows"]
        assert weighted == pytest.approx(scores[name])
        counted = [row[name] for row in rows if row["question_word"] == "what" and name in row]
        assert scores["by_question_word"]["what"][name] == pytest.approx(100 * np.mean(counted))


def test_chinese_questions_have_classes_too():
    _, scores = score_answers([answered("由谁发现？", ["李白"], "李白")], "zh")
    assert scores["by_question_word"] == {"who": {"em": 100.0, "f1": 100.0, "rows": 1}}


def test_nothing_at_all():
    rows, scores = score_answers([], "en")
    assert rows == []
    assert (scores["rows"], scores["by_question_word"]) == (0, {})
