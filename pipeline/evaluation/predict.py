"""Answers to questions about contexts of any length, from JSON lines or from rows in memory."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline.evaluation.reader import Reader, Span, read_all
from pipeline.evaluation.rows import TokenRow, windows
from pipeline.text.tokenizers import Encoded, Encoder
from pipeline.text.unicode import is_unicode

_CHUNK = 256
_NO_LIMIT = 2**31


@dataclass(frozen=True, slots=True)
class _BadRow:
    """What stands in place of a row that cannot be answered."""

    problem: str


def predict_lines(
    model: Path,
    lines: Iterable[str],
    *,
    max_answer_tokens: int,
    max_question_tokens: int = 64,
    max_length: int | None = None,
) -> Iterator[dict[str, Any]]:
    """As `predict_rows`, for JSON lines; blank lines are skipped. Answers come as the lines are read."""
    rows = (_parsed(line) for line in lines if line.strip())
    yield from predict_rows(
        model,
        rows,
        max_answer_tokens=max_answer_tokens,
        max_question_tokens=max_question_tokens,
        max_length=max_length,
    )


def predict_rows(
    model: Path,
    rows: Iterable[Any],
    *,
    max_answer_tokens: int,
    max_question_tokens: int = 64,
    max_length: int | None = None,
) -> Iterator[dict[str, Any]]:
    """Answer each row, a mapping with `question`, `context` and, if wanted, `id`.

    A context longer than the model reads is read in windows that overlap by at least the longest answer;
    the surest span of all counts, and none of the context is left out. A question is cut to its limit, and
    to half a window.

    Args:
        model: A model folder.
        rows: Mappings; others, and those without question or context, give an error row.
        max_answer_tokens: The longest answer.
        max_question_tokens: The longest question.
        max_length: Tokens of a window; what the model was made for when None.

    Yields:
        A row each, in order: `row` (from 0), `id` where given, and either `answer`, `start` and `end`
        (characters of the context) and `score` (probability of the span in its window), or `error`.

    Raises:
        ModelError: The model cannot be loaded.
    """
    reader, encoder = Reader.open(model), Encoder.open(model)
    length = max_length or reader.max_length
    remaining, number = iter(rows), 0
    while chunk := list(islice(remaining, _CHUNK)):
        checked = [_checked(row) for row in chunk]
        good = [row for row in checked if not isinstance(row, _BadRow)]
        encoded = encoder.encode(
            [row["question"] for row in good],
            [row["context"] for row in good],
            max_length=_NO_LIMIT,
            max_question_tokens=min(max_question_tokens, length // 2),
        )
        answers = iter(_answers(reader, good, encoded, length, max_answer_tokens))
        for row, raw in zip(checked, chunk, strict=True):
            found = {"error": row.problem} if isinstance(row, _BadRow) else next(answers)
            yield {"row": number, **_identity(raw), **found}
            number += 1


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        return _BadRow(f"malformed JSON ({error})")


def _checked(row: Any) -> Mapping[str, str] | _BadRow:
    if isinstance(row, _BadRow):
        return row
    if not isinstance(row, Mapping):
        return _BadRow(f"expected an object with question and context; got {type(row).__name__}")
    for key in ("question", "context"):
        if not isinstance(row.get(key), str):
            return _BadRow(f"{key}: expected text; got {type(row.get(key)).__name__}")
        if not row[key].strip():
            return _BadRow(f"{key}: expected text; got none")
        if not is_unicode(row[key]):
            return _BadRow(f"{key}: expected Unicode text; got a lone surrogate")
    return row


def _identity(row: Any) -> dict[str, Any]:
    return {"id": row["id"]} if isinstance(row, Mapping) and "id" in row else {}


def _answers(
    reader: Reader,
    rows: Sequence[Mapping[str, str]],
    encoded: Sequence[Encoded],
    max_length: int,
    max_answer_tokens: int,
) -> Iterator[dict[str, Any]]:
    cut: list[TokenRow] = []
    counts = []
    for whole in encoded:
        own = list(_windows(whole, max_length, max_answer_tokens))
        cut += own
        counts.append(len(own))
    spans = iter(read_all(reader, cut, max_answer_tokens=max_answer_tokens))
    for row, count in zip(rows, counts, strict=True):
        found = [span for span in islice(spans, count) if span is not None]
        yield _described(row["context"], max(found, key=lambda span: span.log_prob, default=None))


def _windows(encoded: Encoded, max_length: int, max_answer_tokens: int) -> Iterator[TokenRow]:
    passage = encoded.passage[1] - encoded.passage[0]
    room = max_length - (len(encoded.input_ids) - passage)
    overlap = min(room - 1, max(room // 4, max_answer_tokens))
    return windows(encoded, max_length=max_length, overlap=overlap)


def _described(context: str, span: Span | None) -> dict[str, Any]:
    if span is None:
        return {"error": "context: no token of it is known to the tokenizer"}
    return {
        "answer": context[span.start : span.end],
        "start": span.start,
        "end": span.end,
        "score": span.probability,
    }
