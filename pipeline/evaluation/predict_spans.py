"""Answers to questions about contexts of any length."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from pipeline.errors import ModelError
from pipeline.evaluation.asked import Asked
from pipeline.evaluation.reader import Reader, Span, question_limit, read_all
from pipeline.evaluation.rows import TokenRow, windows
from pipeline.models.multi_head import predict_with
from pipeline.text.tokenizers import Encoded, Encoder

_NO_LIMIT = 2**31


@dataclass(frozen=True)
class SpanPredictor:
    """A span model that gives each row `answer`, `start` and `end` (characters of the context) and `score`.

    The score is the probability of the span in its window. A context longer than the model reads is read in
    windows that overlap by at least the longest answer; the surest span of all counts, and none of the
    context is left out. A question is cut to its limit, and to half a window; `cut` says so.

    With a `null_threshold` a question may have no answer, as in transformers' run_qa: the span with the
    highest logits counts, and the answer is "" and nowhere if the lowest null logits of all windows exceed
    them by more (`null_score_diff`).
    """

    reader: Reader
    encoder: Encoder
    max_length: int
    max_question_tokens: int
    max_answer_tokens: int
    null_threshold: float | None = None

    needed: ClassVar[tuple[str, ...]] = ("question", "context")
    optional: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def open(
        cls,
        folder: Path,
        asked: Asked,
        *,
        max_answer_tokens: int,
        max_question_tokens: int | None = None,
        max_length: int | None = None,
        null_threshold: float | None = None,
    ) -> "SpanPredictor":
        """The finished model in `folder`.

        Raises:
            ModelError: It cannot be loaded.
        """
        reader = Reader.open(folder)
        predict_with(reader.model, asked.heads)
        encoder = Encoder.open(folder)
        length = max_length or reader.max_length
        return cls(
            reader,
            encoder,
            length,
            question_limit(max_question_tokens, length, encoder),
            max_answer_tokens,
            null_threshold,
        )

    def answers(self, rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        """The surest span of each row's context.

        Raises:
            ModelError: There is a `null_threshold`, and the model cannot say that there is no answer.
        """
        encoded = self.encoder.encode(
            [row["question"] for row in rows],
            [row["context"] for row in rows],
            max_length=_NO_LIMIT,
            max_question_tokens=self.max_question_tokens,
        )
        own = [list(self._windows(whole)) for whole in encoded]
        every = [window for cut in own for window in cut]
        spans = iter(read_all(self.reader, every, max_answer_tokens=self.max_answer_tokens))
        for row, whole, cut in zip(rows, encoded, own, strict=True):
            found = [span for span in islice(spans, len(cut)) if span is not None]
            if not found:
                yield {"error": "context: no token of it is known to the tokenizer"}
                continue
            yield self._answer(row["context"], found) | ({"cut": True} if whole.lost_question_tokens else {})

    def _answer(self, context: str, found: Sequence[Span]) -> dict[str, Any]:
        if self.null_threshold is None:
            return _described(context, max(found, key=lambda span: span.log_prob))
        nulls = [span.null_logit for span in found if span.null_logit is not None]
        if not nulls:
            raise ModelError(
                str(self.reader.folder),
                expected="a model that can say that there is no answer",
                got="one with logits of the passage alone",
                remedy="ask it without a null threshold",
            )
        best = max(found, key=lambda span: span.logit)
        diff = min(nulls) - best.logit
        none = {"answer": "", "start": None, "end": None, "score": None}
        return {
            **(none if diff > self.null_threshold else _described(context, best)),
            "null_score_diff": diff,
        }

    def _windows(self, encoded: Encoded) -> Iterator[TokenRow]:
        passage = encoded.passage[1] - encoded.passage[0]
        room = self.max_length - (len(encoded.input_ids) - passage)
        overlap = min(room - 1, max(room // 4, self.max_answer_tokens))
        return windows(encoded, max_length=self.max_length, overlap=overlap)


def _described(context: str, span: Span) -> dict[str, Any]:
    return {
        "answer": context[span.start : span.end],
        "start": span.start,
        "end": span.end,
        "score": span.probability,
    }
