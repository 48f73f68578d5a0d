"""The confusing answer of every row, among the best spans of its teachers."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pipeline.binding.alignment import LOST, TokenMaps
from pipeline.binding.confusing import confusing_span
from pipeline.binding.target_rows import TargetRows, parts
from pipeline.schema import Passage
from pipeline.tasks.answers import NO_SPAN, span_characters


class Choice(NamedTuple):
    """The confusing answer of a row, in student tokens, and which teacher's it is; -1 for none."""

    span: tuple[int, int]
    teacher: int


_NO_CHOICE = Choice(NO_SPAN, -1)


class _Candidate(NamedTuple):
    """One of a teacher's best spans of a row, in its own tokens."""

    log_prob: float
    teacher: int
    span: tuple[int, int]


def confusing_choices(
    teachers: Sequence[TargetRows], passages: Sequence[Passage], language: str
) -> list[Choice]:
    """The confusing answer of every row: of several teachers, the one with the highest confidence."""
    if any("top_spans" not in teacher.targets.fields for teacher in teachers):
        return [_NO_CHOICE] * len(passages)
    found = []
    for part in parts(len(passages)):
        candidates: list[list[_Candidate]] = [[] for _ in passages[part]]
        for number, teacher in enumerate(teachers):
            for of_row, best in zip(candidates, _best_spans(teacher, part, number), strict=True):
                of_row += best
        for row, of_row in zip(range(len(passages))[part], candidates, strict=True):
            # A teacher's own order stays, and the first teacher goes before another that is as sure.
            ranked = sorted(of_row, key=lambda candidate: -candidate.log_prob)
            found.append(_choose(ranked, teachers, passages[row], row, language))
    return found


def _best_spans(teacher: TargetRows, part: slice, number: int) -> Iterator[list[_Candidate]]:
    columns = ("top_starts", "top_ends", "top_log_probs")
    batch = teacher.cache.batch(teacher.positions[part], columns)
    values = (batch[name] for name in columns)
    for starts, ends, log_probs, length in zip(*values, batch["span_length"], strict=True):
        spans = zip(starts[:length].tolist(), ends[:length].tolist(), strict=True)
        yield [
            _Candidate(log_prob, number, span)
            for span, log_prob in zip(spans, log_probs[:length].tolist(), strict=True)
        ]


def _choose(
    ranked: Sequence[_Candidate], teachers: Sequence[TargetRows], passage: Passage, row: int, language: str
) -> Choice:
    place = confusing_span(
        (
            span_characters(*candidate.span, teachers[candidate.teacher].offsets.row(row).reshape(-1, 2))
            for candidate in ranked
        ),
        passage.text,
        # Of answers in free text, also the span that stands for them.
        (*passage.gold_texts, *(answer.text for answer in passage.answers)),
        language=language,
    )
    if place is None:
        return _NO_CHOICE
    span = _mapped(ranked[place].span, teachers[ranked[place].teacher].maps, row)
    return _NO_CHOICE if span == NO_SPAN else Choice(span, ranked[place].teacher)


def _mapped(span: tuple[int, int], maps: TokenMaps, row: int) -> tuple[int, int]:
    first, last = int(maps.start.row(row)[span[0]]), int(maps.end.row(row)[span[1]])
    return (first, last) if LOST not in (first, last) else NO_SPAN
