"""Gold labels as numbers that a loss can read, and the tokens that they stand at. Needs no torch."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.labels import words
from pipeline.schema import Passage
from pipeline.tasks.answers import NULL_SPAN, gold_span
from pipeline.text.tokenizers import Encoded

UNLABELLED = -1
"""Stands for a class that is not known; not-a-number stands for a number."""


def gold_of(
    labels: str, passage: Passage, row: Encoded, classes: Sequence[str]
) -> NDArray[np.int32] | NDArray[np.float32]:
    """The labels of one passage as its reader's row shows it.

    Args:
        labels: What they are, as of `Task.labels`.
        passage: The passage.
        row: Its tokens.
        classes: All classes, in the order of the model's outputs.

    Returns:
        Of answers first and last token, or `NULL_SPAN` where there is known to be none and a special token
        comes first, at which that is said; of a class its number; of a number itself; of several classes a
        1 or 0 for each there is; of tags the number of each word's, as far as the passage goes.
    """
    given = passage.labels
    if labels == "answers":
        if passage.is_impossible and row.question[0] > 0:
            return np.array(NULL_SPAN, np.int32)
        return np.array(gold_span(passage.answers, row.passage_offsets), np.int32)
    if labels == "number":
        return np.array([float(given[0]) if given is not None else np.nan], np.float32)
    if labels == "classes":
        known = [float(name in given) if given is not None else np.nan for name in classes]
        return np.array(known, np.float32)
    count = len(words(passage.text)) if labels == "tags" else 1
    names = given if given is not None else [""] * count
    numbers = {name: number for number, name in enumerate(classes)}
    return np.array([numbers.get(name, UNLABELLED) for name in names[:count]], np.int32)


def is_known(gold: NDArray[np.int32] | NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which of the labels there is something to learn from."""
    return ~np.isnan(gold) if gold.dtype.kind == "f" else gold != UNLABELLED


def first_pieces(text: str, offsets: NDArray[np.integer], start: int) -> NDArray[np.int32]:
    """For each word, the token of its row that is the word's first piece; -1 where it was cut off.

    Devlin et al. 2018, arXiv:1810.04805, sec. 5.3: a word's first piece stands for the word.

    Args:
        text: The passage's.
        offsets: First character and the one after the last, a row a passage token.
        start: Where in the row the passage's tokens begin.
    """
    spans = np.array(words(text), np.int64).reshape(-1, 2)
    if not len(offsets):
        return np.full(len(spans), UNLABELLED, np.int32)
    first = np.searchsorted(offsets[:, 1], spans[:, 0], side="right")
    reached = np.minimum(first, len(offsets) - 1)
    is_there = (first < len(offsets)) & (offsets[reached, 0] < spans[:, 1])
    return np.where(is_there, reached + start, UNLABELLED).astype(np.int32)
