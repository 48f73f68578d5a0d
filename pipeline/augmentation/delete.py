"""Words are left out."""

from collections.abc import Sequence
from random import Random

from pipeline.augmentation.chances import check_chances
from pipeline.augmentation.corpus import Corpus
from pipeline.augmentation.words import Word


def delete(words: Sequence[Word], random: Random, corpus: Corpus, *, probability: float = 0.1) -> list[Word]:
    """Leave out each word with a probability.

    Source: TextBrewer, `deleting`.

    Args:
        words: The words of a text.
        random: The row's own.
        corpus: Not read.
        probability: That of a word or entity; answers stay.
    """
    check_chances(probability=probability)
    return [word for word in words if random.random() >= probability or word.is_needed]
