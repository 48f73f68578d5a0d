"""The confusing answer: the best of a teacher's spans that shares nothing with any gold answer."""

import string
import unicodedata
from collections.abc import Iterable, Sequence

_ARTICLES = {"a", "an", "the"}
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def confusing_span(
    spans: Iterable[tuple[int, int]], text: str, golds: Sequence[str], *, language: str
) -> int | None:
    """The place of the first span whose overlap F1 with every gold answer is 0, of those with a unit.

    Source: Hu et al. 2018, Attention-Guided Answer Distillation, sec. 3.2.

    Args:
        spans: Characters, start and exclusive end, in `text`; best first.
        text: The passage.
        golds: All gold answers of the example. Without one there is nothing to be confused with.
        language: "zh" compares characters, others words after SQuAD's normalisation.

    Returns:
        The place in `spans`, None where there is none.
    """
    if not golds:
        return None
    gold_units = set().union(*(answer_units(gold, language) for gold in golds))
    for place, (start, end) in enumerate(spans):
        units = answer_units(text[start:end], language)
        # Of a span like "the" no unit is left, and nothing says whether it is the answer.
        if units and gold_units.isdisjoint(units):
            return place
    return None


def answer_units(text: str, language: str) -> set[str]:
    """What an answer is compared by: words without case, punctuation and articles, or characters."""
    if language == "zh":
        return {character for character in text.lower() if unicodedata.category(character)[0] not in "PSZC"}
    return set(text.lower().translate(_NO_PUNCTUATION).split()) - _ARTICLES
