"""Neighbouring words change places."""

from collections.abc import Sequence
from math import fsum
from random import Random

from pipeline.augmentation.chances import check_chances
from pipeline.augmentation.corpus import Corpus
from pipeline.augmentation.reorder import reorder
from pipeline.augmentation.words import Word

_ORDERS = ((1, 0), (2, 1, 0), (2, 0, 1), (1, 2, 0))


def short_disorder(
    words: Sequence[Word],
    random: Random,
    corpus: Corpus,
    *,
    bac: float = 0.1,
    cba: float = 0.0,
    cab: float = 0.0,
    bca: float = 0.0,
) -> list[Word]:
    """Reorder words within three, from left to right, each at most once.

    Source: TextBrewer, `short_disorder`. As there, the last two words are exchanged by any of the four.

    Args:
        words: The words of a text.
        random: The row's own.
        corpus: Not read.
        bac: The chance that the next two words are exchanged.
        cba: That the first and third of the next three are exchanged.
        cab: That the third comes before the first two.
        bca: That the first comes after the two others.
    """
    check_chances(bac=bac, cba=cba, cab=cab, bca=bca)
    chances = (bac, cba, cab, bca)
    order = list(range(len(words)))
    place = 0
    while place < len(words) - 1:
        drawn = random.choices([*_ORDERS, (0,)], [*chances, max(1 - fsum(chances), 0)])[0]
        if len(drawn) > len(words) - place:
            drawn = _ORDERS[0]
        order[place : place + len(drawn)] = [place + old for old in drawn]
        place += len(drawn)
    return reorder(words, order)
