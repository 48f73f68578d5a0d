"""From spans of passages to one answer an example."""

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
    """One example: its gold answers and its prediction, None where no passage of it could be read."""

    id: str
    question: str
    golds: tuple[str, ...]
    prediction: Prediction | None


def fold(passages: Iterable[Passage], spans: Iterable[Span | None]) -> list[Answered]:
    """One answer for each example, in the order of the examples: of several passages the surest span."""
    best: dict[int, tuple[Passage, Span | None]] = {}
    for passage, span in zip(passages, spans, strict=True):
        held = best.get(passage.example)
        if held is None or _surer(span, held[1]):
            best[passage.example] = passage, span
    return [
        Answered(
            passage.id,
            passage.question,
            passage.gold_texts,
            None if span is None else _prediction(passage, span),
        )
        for _, (passage, span) in sorted(best.items())
    ]


def _surer(one: Span | None, other: Span | None) -> bool:
    return one is not None and (other is None or one.log_prob > other.log_prob)


def _prediction(passage: Passage, span: Span) -> Prediction:
    start, end = passage.context_span(span.start, span.end)
    return Prediction(passage.id, passage.text[span.start : span.end], start, end, span.probability)
