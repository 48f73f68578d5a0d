"""Scores of answers: over a whole data set, by question word, and apart for questions without an answer."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.evaluation.fold import Answered
from pipeline.evaluation.metric import METRICS, MISSED, Score, percentages
from pipeline.evaluation.question_words import QUESTION_WORDS, question_word

EM, F1 = "em", "f1"

Row = dict[str, Any]

# What an answer to a question without one takes away.
_TAKEN = Score(-1.0, -1.0)


def score_answers(
    answered: Sequence[Answered], language: str, *, null_threshold: float = 0.0
) -> tuple[list[Row], dict[str, Any]]:
    """The answers to all examples, each with its score, and the scores of those that are labelled.

    A question that is given no answer scores 0, unless there is none. Where there are such questions, scores
    are those of SQuAD 2.0's evaluate-v2.0.py (Rajpurkar et al. 2018, arXiv:1806.03822, sec. 3).

    Args:
        answered: The examples.
        language: Of the metric and of the questions.
        null_threshold: How far the logits of no answer must exceed those of the best span for the question to
            be left unanswered; transformers' `null_score_diff_threshold`.

    Returns:
        A row an example; and exact match and F1 in percent, over all and by question word, with the
        numbers of rows that were scored, have no label, were given no answer. Where some questions have no
        answer, also `has_answer` and `no_answer`, and the best scores that any threshold gives.
    """
    with_null = any(row.is_impossible for row in answered)
    rows = [_scored(row, language, with_null, null_threshold) for row in answered]
    labelled = [row for row in rows if F1 in row]
    by_word = {
        word: _mean([row for row in labelled if row["question_word"] == word]) for word in QUESTION_WORDS
    }
    return rows, {
        **_mean(labelled),
        "unlabelled": len(rows) - len(labelled),
        "unanswered": sum(row["prediction"] is None for row in rows),
        "by_question_word": {word: scores for word, scores in by_word.items() if scores["rows"]},
        **(_apart(answered, labelled, language) if with_null else {}),
    }


def _mean(rows: Sequence[Row]) -> dict[str, Any]:
    return {**percentages(Score(row[EM], row[F1]) for row in rows), "rows": len(rows)}


def _apart(answered: Sequence[Answered], labelled: Sequence[Row], language: str) -> dict[str, Any]:
    """Scores of the questions with an answer and of those without, and the best thresholds."""
    parts = {
        "has_answer": _mean([row for row in labelled if not row["is_impossible"]]),
        "no_answer": _mean([row for row in labelled if row["is_impossible"]]),
    }
    known = [row for row in answered if row.golds or row.is_impossible]
    if any(row.null_score_diff is None for row in known if row.prediction):
        return parts
    return {**parts, "best": _best(known, language)}


def _best(known: Sequence[Answered], language: str) -> dict[str, float]:
    """The highest scores, in percent, and thresholds that give them, found as the official script finds them.

    From the surest answer on, each that is given adds its score, or takes a point from a question without.
    """
    given = (
        (
            row.null_score_diff or 0.0,
            _TAKEN if row.is_impossible else score_with_null(row.prediction.text, row.golds, language),
        )
        for row in known
        if row.prediction
    )
    said = sorted(given, key=lambda of_row: of_row[0])
    diffs = [diff for diff, _ in said]
    # Below all of them nothing is answered, which may be best.
    thresholds = [math.nextafter(min(diffs, default=0.0), -math.inf), *diffs]
    unanswerable = sum(row.is_impossible for row in known)
    found: dict[str, float] = {}
    for at, name in enumerate((EM, F1)):
        totals = unanswerable + np.cumsum([0.0, *(gains[at] for _, gains in said)])
        best = int(totals.argmax())
        found[name] = 100 * float(totals[best]) / len(known)
        found[f"{name}_threshold"] = thresholds[best]
    return found


def score_with_null(text: str, golds: Sequence[str], language: str) -> Score:
    """The score of an answer, "" for none, where there may be none; `golds` are empty where there is none.

    Gold answers of which the metric leaves nothing are none, as in evaluate-v2.0.py.
    """
    score = METRICS.load(language)
    is_nothing = score(text, [""]).em
    kept = [gold for gold in golds if not score(gold, [""]).em]
    if not kept:
        return Score(is_nothing, is_nothing)
    return MISSED if is_nothing else score(text, kept)


def _scored(answered: Answered, language: str, with_null: bool, null_threshold: float) -> Row:
    prediction, diff = answered.prediction, answered.null_score_diff
    if with_null and diff is not None and diff > null_threshold:
        prediction = None
    text = prediction.text if prediction else None
    row: Row = {
        "id": answered.id,
        "question_word": question_word(answered.question, language),
        "prediction": text,
        "span": [prediction.start, prediction.end] if prediction else None,
        "score": prediction.score if prediction else None,
        "golds": list(answered.golds),
    }
    if with_null:
        row |= {"is_impossible": answered.is_impossible, "null_score_diff": diff}
    if answered.golds or answered.is_impossible:
        if with_null:
            given = score_with_null(text or "", answered.golds, language)
        else:
            given = METRICS.load(language)(text, answered.golds) if text is not None else MISSED
        row |= {EM: given.em, F1: given.f1}
    return row
