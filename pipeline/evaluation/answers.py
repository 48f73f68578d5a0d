"""Scores of answers: over a whole data set, and by question word."""

from collections.abc import Sequence
from typing import Any

from pipeline.evaluation.fold import Answered
from pipeline.evaluation.metric import METRICS, MISSED, Score, percentages
from pipeline.evaluation.question_words import QUESTION_WORDS, question_word

EM, F1 = "em", "f1"


def score_answers(answered: Sequence[Answered], language: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The answers to all examples, each with its score, and the scores of those that are labelled.

    A question that is given no answer scores 0.

    Args:
        answered: The examples.
        language: Of the metric and of the questions.

    Returns:
        A row an example; and exact match and F1 in percent, over all and by question word, with the
        numbers of rows that were scored, have no label, were given no answer.
    """
    rows = [_scored(row, language) for row in answered]
    labelled = [row for row in rows if F1 in row]
    by_word = {
        word: _mean([row for row in labelled if row["question_word"] == word]) for word in QUESTION_WORDS
    }
    return rows, {
        **_mean(labelled),
        "unlabelled": len(rows) - len(labelled),
        "unanswered": sum(row["prediction"] is None for row in rows),
        "by_question_word": {word: scores for word, scores in by_word.items() if scores["rows"]},
    }


def _mean(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {**percentages(Score(row[EM], row[F1]) for row in rows), "rows": len(rows)}


def _scored(answered: Answered, language: str) -> dict[str, Any]:
    prediction = answered.prediction
    row: dict[str, Any] = {
        "id": answered.id,
        "question_word": question_word(answered.question, language),
        "prediction": prediction.text if prediction else None,
        "span": [prediction.start, prediction.end] if prediction else None,
        "score": prediction.score if prediction else None,
        "golds": list(answered.golds),
    }
    if answered.golds:
        score = METRICS.load(language)
        given = score(prediction.text, answered.golds) if prediction else MISSED
        row |= {EM: given.em, F1: given.f1}
    return row
