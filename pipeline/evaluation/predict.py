"""What a finished model of any task says of rows, from JSON lines or from memory."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from pipeline.errors import ParamsError
from pipeline.evaluation.asked import asked_of
from pipeline.evaluation.predict_labels import LabelPredictor
from pipeline.evaluation.predict_spans import SpanPredictor
from pipeline.evaluation.predict_vectors import VectorPredictor
from pipeline.evaluation.vectors import Pooling
from pipeline.tasks import SENTENCE, SPAN
from pipeline.text.unicode import is_unicode

_CHUNK = 256


@runtime_checkable
class Predictor(Protocol):
    """A model that is asked about rows. `needed` are the texts of a row, `optional` those it may lack."""

    @property
    def needed(self) -> tuple[str, ...]:
        """The texts that a row must have."""

    @property
    def optional(self) -> tuple[str, ...]:
        """The texts that it may have."""

    def answers(self, rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        """What is said of each row, or an `error`."""


@dataclass(frozen=True, slots=True)
class _BadRow:
    """What stands in place of a row that cannot be answered."""

    problem: str


def predict_lines(model: Path, lines: Iterable[str], **options: Any) -> Iterator[dict[str, Any]]:
    """As `predict_rows`, for JSON lines; blank lines are skipped. Answers come as the lines are read."""
    yield from predict_rows(model, (_parsed(line) for line in lines if line.strip()), **options)


def predict_rows(
    model: Path,
    rows: Iterable[Any],
    *,
    max_answer_tokens: int,
    max_question_tokens: int | None = None,
    max_length: int | None = None,
    null_threshold: float | None = None,
    task: str | None = None,
    heads: Sequence[str] = (),
    pooling: Pooling | None = None,
) -> Iterator[dict[str, Any]]:
    """Answer each row, a mapping with `question` and `context` for spans, else with `text`.

    The first text of a pair is its `question`. A row may have an `id`, which is handed back.

    Args:
        model: A model folder.
        rows: Mappings; others, and those without their texts, give an error row.
        max_answer_tokens: The longest answer.
        max_question_tokens: The longest question; None for 64, or half of a shorter row.
        max_length: Tokens of a row, or of a window of it; what the model was made for when None.
        null_threshold: Of spans, by how much the logits of no answer must exceed those of the best span for
            none to be the answer; None for always a span.
        task: What it is asked; what its configuration says when None.
        heads: Of a model with several heads those that answer, by the mean of their probabilities.
        pooling: Of an encoder without a head, what a vector is made of.

    Yields:
        A row each, in order: `row` (from 0), `id` where given, and what `SpanPredictor`, `LabelPredictor` or
        `VectorPredictor` says of it, or `error`.

    Raises:
        ModelError: The model cannot be loaded, has a head that answers nothing here, or cannot say that
            there is no answer and is to.
        ParamsError: It is not clear which of its heads are to answer, or what a vector is made of; or an
            option is of another task.
    """
    asked = asked_of(model, task=task, heads=heads)
    for option, value, of in (("null_threshold", null_threshold, SPAN), ("pooling", pooling, SENTENCE)):
        if value is not None and asked.task != of:
            raise ParamsError(
                option, expected=f"a model of task {of!r}", got=repr(asked.task), remedy="leave it out"
            )
    limits: dict[str, Any] = {"max_question_tokens": max_question_tokens, "max_length": max_length}
    predictor: Predictor
    if asked.task == SPAN:
        predictor = SpanPredictor.open(
            model, asked, max_answer_tokens=max_answer_tokens, null_threshold=null_threshold, **limits
        )
    elif asked.task == SENTENCE:
        predictor = VectorPredictor.open(model, pooling, max_length=max_length)
    else:
        predictor = LabelPredictor.open(model, asked, **limits)
    remaining, number = iter(rows), 0
    while chunk := list(islice(remaining, _CHUNK)):
        checked = [_checked(row, predictor) for row in chunk]
        answers = predictor.answers([row for row in checked if not isinstance(row, _BadRow)])
        for row, raw in zip(checked, chunk, strict=True):
            found = {"error": row.problem} if isinstance(row, _BadRow) else next(answers)
            yield {"row": number, **_identity(raw), **found}
            number += 1


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        return _BadRow(f"malformed JSON ({error})")


def _checked(row: Any, predictor: Predictor) -> Mapping[str, Any] | _BadRow:
    if isinstance(row, _BadRow):
        return row
    if not isinstance(row, Mapping):
        wanted = " and ".join(predictor.needed)
        return _BadRow(f"expected an object with {wanted}; got {type(row).__name__}")
    for key in (*predictor.needed, *(key for key in predictor.optional if key in row)):
        if not isinstance(row.get(key), str):
            return _BadRow(f"{key}: expected text; got {type(row.get(key)).__name__}")
        if not row[key].strip():
            return _BadRow(f"{key}: expected text; got none")
        if not is_unicode(row[key]):
            return _BadRow(f"{key}: expected Unicode text; got a lone surrogate")
    return row


def _identity(row: Any) -> dict[str, Any]:
    return {"id": row["id"]} if isinstance(row, Mapping) and "id" in row else {}
