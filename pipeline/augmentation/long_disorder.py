"""Spans of words change places."""

from collections.abc import Sequence
from random import Random

from pipeline.augmentation.chances import check_chances
from pipeline.augmentation.corpus import Corpus
from pipeline.augmentation.reorder import reorder
from pipeline.augmentation.words import Word
from pipeline.errors import ParamsError


def long_disorder(
    words: Sequence[Word],
    random: Random,
    corpus: Corpus,
    *,
    probability: float = 0.1,
    length: int | float = 20,
) -> list[Word]:
    """Exchange the two halves of spans of words, from left to right, each word at most once.

    Source: TextBrewer, `long_disorder`.

    Args:
        words: The words of a text.
        random: The row's own.
        corpus: Not read.
        probability: That of a span, wherever one may begin.
        length: Words of both halves, made even; up to 1 it is a share of the text's words.
    """
    check_chances(probability=probability)
    if not length > 0:
        raise ParamsError("length", expected="a number above 0", got=str(length), remedy="choose another")
    half = (int(length if length > 1 else length * len(words)) + 1) // 2
    order = list(range(len(words)))
    place = 0
    while half and place <= len(words) - 2 * half:
        if random.random() < probability:
            middle, end = place + half, place + 2 * half
            order[place:end] = [*order[middle:end], *order[place:middle]]
            place = end
        else:
            place += 1
    return reorder(words, order)
