"""Answers between characters and tokens: gold labels one way, predicted text the other. Needs no torch."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.schema import Answer

NO_SPAN = (-1, -1)
"""Stands for an answer that is not known or not seen."""

NULL_SPAN = (-2, -2)
"""Stands for the right answer that there is none, which is said at the first token (Devlin et al. 2018)."""


def gold_span(answers: Sequence[Answer], passage_offsets: NDArray[np.integer]) -> tuple[int, int]:
    """The passage tokens, both inclusive, of the first answer that they cover.

    Args:
        answers: Gold answers, in characters of the passage's text.
        passage_offsets: First character and the one after the last, a row a passage token.

    Returns:
        First and last token, or (-1, -1) where no answer is covered: there is none, or it was cut off.
    """
    for answer in answers:
        start = answer.start + len(answer.text) - len(answer.text.lstrip())
        end = start + len(answer.text.strip())
        span = covering_span(start, end, passage_offsets)
        if span != NO_SPAN:
            return span
    return NO_SPAN


def covering_span(start: int, end: int, passage_offsets: NDArray[np.integer]) -> tuple[int, int]:
    """The passage tokens, both inclusive, that overlap characters `start` to `end` (exclusive).

    A character between two tokens (a space, a mark that the tokenizer drops) may stay uncovered; one after
    the last token may not, because there the passage was cut.
    """
    last_token = len(passage_offsets) - 1
    first = int(np.searchsorted(passage_offsets[:, 1], start, side="right"))
    last = int(np.searchsorted(passage_offsets[:, 0], end, side="left")) - 1
    if start >= end or first > last or (last == last_token and passage_offsets[last, 1] < end):
        return NO_SPAN
    return first, last


def span_characters(first: int, last: int, passage_offsets: NDArray[np.integer]) -> tuple[int, int]:
    """The characters, start and exclusive end, of passage tokens `first` to `last` (inclusive)."""
    return int(passage_offsets[first, 0]), int(passage_offsets[last, 1])


def span_text(first: int, last: int, passage_offsets: NDArray[np.integer], text: str) -> str:
    """The text of passage tokens `first` to `last` (inclusive), as it stands in the passage."""
    start, end = span_characters(first, last, passage_offsets)
    return text[start:end]
