"""Words are hidden."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from pipeline.augmentation.chances import check_chances
from pipeline.augmentation.corpus import Corpus
from pipeline.augmentation.words import Word
from pipeline.text.mask import MASK


def mask(words: Sequence[Word], random: Random, corpus: Corpus, *, probability: float = 0.1) -> list[Word]:
    """Hide each word with a probability.

    Source: TextBrewer, `masking`.

    Args:
        words: The words of a text.
        random: The row's own.
        corpus: Not read.
        probability: That of a word that labels are not about; the others stay.
    """
    check_chances(probability=probability)
    return [
        replace(word, text=MASK) if random.random() < probability and not word.is_fixed else word
        for word in words
    ]
