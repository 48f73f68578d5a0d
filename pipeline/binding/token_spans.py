"""Which of a teacher's tokens each student token overlaps, special tokens included, for all rows at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.binding.alignment import LOST, token_maps
from pipeline.cache.ragged import Ragged

_MOST_SPECIAL = 8


@dataclass(frozen=True)
class RowTokens:
    """All tokens of some rows: characters of the question's and the passage's, and how many there are.

    Args:
        question: Characters, start and exclusive end, of the question's tokens, flat, a row a question.
        passage: The same of the passage's.
        length: How many tokens there are, special ones included.
    """

    question: Ragged
    passage: Ragged
    length: NDArray[np.int64]

    def equal(self, other: "RowTokens") -> bool:
        """Whether both cut every row into the same tokens."""
        return np.array_equal(self.length, other.length) and all(
            np.array_equal(getattr(mine, part), getattr(theirs, part))
            for mine, theirs in ((self.question, other.question), (self.passage, other.passage))
            for part in ("offsets", "values")
        )


def token_spans(student: RowTokens, teacher: RowTokens) -> Ragged:
    """For every student token, the first teacher token it overlaps and the one after the last; 0, 0: none.

    Words overlap by characters. Special tokens are the teacher's of the same place: the first before the
    question, those between, the last after the passage, as all encoders with known blocks have them.
    """
    sides = (student, teacher)
    question, passage = (
        max(int(getattr(tokens, part).values.max(initial=0)) for tokens in sides) + 1
        for part in ("question", "passage")
    )
    read, known = (_on_one_axis(tokens, question, passage) for tokens in sides)
    maps = token_maps(read, known)
    first, last = maps.start.values, maps.end.values
    found = first != LOST
    # Where a student's token goes on behind the teacher's last one, it is that one that it overlaps.
    ends = np.repeat(np.diff(known.offsets) // 2, np.diff(read.offsets) // 2)
    end = np.where(last == LOST, ends, last + 1)
    spans = np.stack([np.where(found, first, 0), np.where(found, end, 0)], axis=1).astype(np.int32)
    return Ragged(spans.reshape(-1), read.offsets)


def _on_one_axis(tokens: RowTokens, longest_question: int, longest_passage: int) -> Ragged:
    """Every token as an interval: special ones before, between and after those of question and passage."""
    between = _MOST_SPECIAL + longest_question
    behind = between + _MOST_SPECIAL + longest_passage
    rows = []
    for row, length in enumerate(tokens.length.tolist()):
        question, passage = tokens.question.row(row), tokens.passage.row(row)
        special = length - (len(question) + len(passage)) // 2
        before, after = min(1, special), int(special > 1)
        rows.append(
            np.concatenate(
                [
                    _units(0, before),
                    question + _MOST_SPECIAL,
                    _units(between, special - before - after),
                    passage + between + _MOST_SPECIAL,
                    _units(behind, after),
                ]
            )
        )
    return Ragged.from_rows(rows, np.int64)


def _units(start: int, count: int) -> NDArray[np.int64]:
    starts = start + np.arange(count, dtype=np.int64)
    return np.stack([starts, starts + 1], axis=1).reshape(-1)
