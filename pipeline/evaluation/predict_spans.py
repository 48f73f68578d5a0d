"""Answers to questions about contexts of any length."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from pipeline.evaluation.asked import Asked
from pipeline.evaluation.reader import Reader, Span, read_all
from pipeline.evaluation.rows import TokenRow, windows
from pipeline.models.multi_head import predict_with
from pipeline.text.tokenizers import Encoded, Encoder

_NO_LIMIT = 2**31


@dataclass(frozen=True)
class SpanPredictor:
    """A span model that gives each row `answer`, `start` and `end` (characters of the context) and `score`.

    The score is the probability of the span in its window. A context longer than the model reads is read in
    windows that overlap by at least the longest answer; the surest span of all counts, and none of the
    context is left out. A question is cut to its limit, and to half a window.
    """

    reader: Reader
    encoder: Encoder
    max_length: int
    max_question_tokens: int
    max_answer_tokens: int

    needed: ClassVar[tuple[str, ...]] = ("question", "context")
    optional: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def open(
        cls,
        folder: Path,
        asked: Asked,
        *,
        max_answer_tokens: int,
        max_question_tokens: int,
        max_length: int | None = None,
    ) -> "SpanPredictor":
        """The finished model in `folder`.

        Raises:
            ModelError: It cannot be loaded.
        """
        reader = Reader.open(folder)
        predict_with(reader.model, asked.heads)
        length = max_length or reader.max_length
        return cls(
            reader, Encoder.open(folder), length, min(max_question_tokens, length // 2), max_answer_tokens
        )

    def answers(self, rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        """The surest span of each row's context."""
        encoded = self.encoder.encode(
            [row["question"] for row in rows],
            [row["context"] for row in rows],
            max_length=_NO_LIMIT,
            max_question_tokens=self.max_question_tokens,
        )
        own = [list(self._windows(whole)) for whole in encoded]
        every = [window for cut in own for window in cut]
        spans = iter(read_all(self.reader, every, max_answer_tokens=self.max_answer_tokens))
        for row, cut in zip(rows, own, strict=True):
            found = [span for span in islice(spans, len(cut)) if span is not None]
            yield _described(row["context"], max(found, key=lambda span: span.log_prob, default=None))

    def _windows(self, encoded: Encoded) -> Iterator[TokenRow]:
        passage = encoded.passage[1] - encoded.passage[0]
        room = self.max_length - (len(encoded.input_ids) - passage)
        overlap = min(room - 1, max(room // 4, self.max_answer_tokens))
        return windows(encoded, max_length=self.max_length, overlap=overlap)


def _described(context: str, span: Span | None) -> dict[str, Any]:
    if span is None:
        return {"error": "context: no token of it is known to the tokenizer"}
    return {
        "answer": context[span.start : span.end],
        "start": span.start,
        "end": span.end,
        "score": span.probability,
    }
