"""Parts of speech, from word lists that come with a library: nothing is downloaded or trained."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import MappingProxyType


def parts_of_speech(words: Sequence[str], language: str) -> tuple[str, ...]:
    """The part of speech of each word of a text: Penn Treebank's in English, jieba's in Chinese.

    Source: TextBlob's tagger (a word list, and rules for the endings of other words) and jieba's dictionary.
    Neither reads more of the text than whether a word is its first.
    """
    return _TAGGERS[language](words)


def _english(words: Sequence[str]) -> tuple[str, ...]:
    from textblob.en import parser  # takes seconds, and few augmenters need it

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves the file of its word list open
        return tuple(tag for _, tag in parser.find_tags(list(words)))


def _chinese(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(map(_chinese_word, words))


@cache
def _chinese_word(word: str) -> str:
    import rjieba  # reads its dictionary

    # Of a word that the dictionary has in parts only, the last part is the head.
    return str(rjieba.tag(word)[-1][1])


_TAGGERS: Mapping[str, Callable[[Sequence[str]], tuple[str, ...]]] = MappingProxyType(
    {"en": _english, "zh": _chinese}
)
