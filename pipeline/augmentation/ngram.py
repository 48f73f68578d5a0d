"""Of all words a few that follow each other are kept."""

from collections.abc import Sequence
from random import Random

from pipeline.augmentation.corpus import Corpus
from pipeline.augmentation.words import Word
from pipeline.errors import ParamsError


def ngram(words: Sequence[Word], random: Random, corpus: Corpus, *, longest: int = 5) -> list[Word]:
    """Keep n words that follow each other, n from 1 to `longest`, both drawn evenly.

    Source: Tang et al. 2019, arXiv:1903.12136, sec. 3.3; TextBrewer, `n_gram_sampling`.
    Differs: A text of fewer words is kept whole, where TextBrewer's fails. So is one that would lose an
    answer.

    Args:
        words: The words of a text.
        random: The row's own.
        corpus: Not read.
        longest: The most words kept.
    """
    if longest < 1:
        raise ParamsError("longest", expected="1 or more", got=str(longest), remedy="choose another number")
    length = random.randint(1, longest)
    start = random.randint(0, max(len(words) - length, 0))
    kept = list(words[start : start + length])
    dropped = [*words[:start], *words[start + length :]]
    return list(words) if any(word.is_needed for word in dropped) else kept
