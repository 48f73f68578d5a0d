"""The augmentation of Tang et al. 2019, for rows that only a teacher labels."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from pipeline.augmentation.chances import check_chances
from pipeline.augmentation.corpus import Corpus
from pipeline.augmentation.ngram import ngram as sample_ngram
from pipeline.augmentation.words import Word
from pipeline.text.mask import MASK


def tang2019(
    words: Sequence[Word],
    random: Random,
    corpus: Corpus,
    *,
    mask: float = 0.1,
    replacement: float = 0.1,
    ngram: float = 0.25,
    longest: int = 5,
) -> list[Word]:
    """Hide words, or replace them by others of their part of speech; then perhaps keep an n-gram alone.

    Source: Tang et al. 2019, "Distilling Task-Specific Knowledge from BERT into Simple Neural Networks",
    arXiv:1903.12136, sec. 3.3. One draw a word decides between hiding it and replacing it.

    Args:
        words: The words of a text.
        random: The row's own.
        corpus: Where other words come from, as often as they stand there.
        mask: The chance that a word is hidden.
        replacement: The chance that it is replaced.
        ngram: The chance that an n-gram is all that is kept.
        longest: The most words of an n-gram.
    """
    check_chances(mask=mask, replacement=replacement)
    check_chances(ngram=ngram)
    changed = []
    for place, word in enumerate(words):
        drawn = random.random()
        if word.is_fixed or drawn >= mask + replacement:
            changed.append(word)
        else:
            text = MASK if drawn < mask else corpus.like(words, place, random)
            changed.append(replace(word, text=text))
    return sample_ngram(changed, random, corpus, longest=longest) if random.random() < ngram else changed
