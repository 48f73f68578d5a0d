"""From spans of passages to one answer an example."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.evaluation.reader import Span
from pipeline.schema import Passage


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer to one example; `start` and `end` are characters of its context.

    Where selection cut sentences between two that the span joins, the span of the context is longer than
    the text.
    """

    id: str
    text: str
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Answered:
    """One example: its gold answers and its prediction, None where no passage of it could be read.

    `is_impossible` says that it is known to have no answer. `null_score_diff` is by how much the logits of no
    answer exceed those of the prediction, where the reader can say so (Devlin et al. 2018, sec. 4.3).
    """

    id: str
    question: str
    golds: tuple[str, ...]
    prediction: Prediction | None
    is_impossible: bool = False
    null_score_diff: float | None = None


def fold(
    passages: Iterable[Passage], spans: Iterable[Span | None], *, with_null: bool = False
) -> list[Answered]:
    """One answer for each example, in the order of the examples: of several passages the surest span.

    Args:
        passages: Those of all examples.
        spans: The best span of each, None where it could not be read.
        with_null: Whether there may be no answer. Of a reader that can say so the span with the highest
            logits is the surest then, and the lowest null logits of all passages are set against it, as in
            transformers' run_qa.
    """
    best: dict[int, tuple[Passage, Span | None]] = {}
    nulls: dict[int, float] = {}
    for passage, span in zip(passages, spans, strict=True):
        held = best.get(passage.example)
        if held is None or _surer(span, held[1], with_null):
            best[passage.example] = passage, span
        if with_null and span is not None and span.null_logit is not None:
            nulls[passage.example] = min(span.null_logit, nulls.get(passage.example, math.inf))
    return [
        Answered(
            passage.id,
            passage.question,
            passage.gold_texts,
            None if span is None else _prediction(passage, span),
            passage.is_impossible,
            nulls[example] - span.logit if span is not None and example in nulls else None,
        )
        for example, (passage, span) in sorted(best.items())
    ]


def _surer(one: Span | None, other: Span | None, with_null: bool) -> bool:
    if one is None or other is None:
        return one is not None
    if with_null and one.null_logit is not None:
        return one.logit > other.logit
    return one.log_prob > other.log_prob


def _prediction(passage: Passage, span: Span) -> Prediction:
    start, end = passage.context_span(span.start, span.end)
    return Prediction(passage.id, passage.text[span.start : span.end], start, end, span.probability)
