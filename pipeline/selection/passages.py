"""From an example and the spans that were kept to passages whose every character has an origin."""

from collections.abc import Iterable, Sequence

from pipeline.schema import Answer, Example, Passage, Segment
from pipeline.selection.selected import Selected
from pipeline.text.sentences import Span


def passages(row: int, example: Example, selected: Selected) -> list[Passage]:
    """The passages of the example in `row`, one a window."""
    return [_passage(row, window, example, spans) for window, spans in enumerate(selected.windows)]


def _passage(row: int, window: int, example: Example, spans: Sequence[Span]) -> Passage:
    segments = _segments(spans)
    return Passage(
        example=row,
        window=window,
        id=example.id,
        question=example.question,
        text="".join(_copied(example.context, segment) for segment in segments),
        segments=segments,
        answers=tuple(_moved(example.answers, segments)),
        gold_texts=example.golds,
        is_impossible=example.is_impossible,
        labels=example.labels,
    )


def _segments(spans: Sequence[Span]) -> tuple[Segment, ...]:
    """One segment for each run of spans that touch."""
    segments: list[Segment] = []
    for start, end in spans:
        last = segments[-1] if segments else Segment(0, 0, 0)
        if segments and last.context_start + last.length == start:
            segments[-1] = Segment(last.passage_start, last.context_start, end - last.context_start)
        elif end > start:
            segments.append(Segment(last.passage_start + last.length, start, end - start))
    return tuple(segments)


def _copied(context: str, segment: Segment) -> str:
    return context[segment.context_start : segment.context_start + segment.length]


def _moved(answers: Iterable[Answer], segments: Sequence[Segment]) -> Iterable[Answer]:
    """The answers that lie within one segment, at their place in the passage."""
    for answer in answers:
        for segment in segments:
            place = answer.start - segment.context_start
            if place >= 0 and place + len(answer.text) <= segment.length:
                yield Answer(answer.text, segment.passage_start + place)
                break
