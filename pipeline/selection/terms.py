"""Terms of a text for TF-IDF: lowercased words in English, single characters and pairs of them in Chinese.

A pair of neighbouring characters stands for most Chinese words, without a segmenter: many times faster,
and the same on every machine. Punctuation and white space are no terms and part pairs.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xxhash

from pipeline.text.characters import code_points

_WORD = re.compile(r"\w+")
_CODE_POINT_BITS = 21

_Int64 = npt.NDArray[np.int64]


def words(text: str) -> list[str]:
    """The words of `text`, lowercased."""
    return _WORD.findall(text.lower())


def character_ngrams(text: str) -> list[str]:
    """The characters of `text` and the pairs of neighbours among them, lowercased."""
    runs = words(text)
    pairs = [run[place : place + 2] for run in runs for place in range(len(run) - 1)]
    return [character for run in runs for character in run] + pairs


# What a language's terms are, one text at a time; `Terms.of` gives the same for many texts at once.
TOKENS = {"en": words, "zh": character_ngrams}


@dataclass(frozen=True)
class Terms:
    """All terms of a sequence of texts, as numbers.

    `text` holds the index of the text where each term stands, `term` the number of the term: equal terms have
    equal numbers below `num_terms` within one object. `codes` (the words in the order of their numbers) or
    `alphabet` (the code points that pairs are made of) turn numbers into codes that mean the same in every
    object.
    """

    text: _Int64
    term: _Int64
    num_terms: int
    codes: _Int64 | None = None
    alphabet: _Int64 | None = None

    @classmethod
    def of(cls, texts: Sequence[str], language: str) -> "Terms":
        """The terms of `texts`."""
        return _characters(texts) if language == "zh" else _words(texts)

    def code(self, term: _Int64) -> _Int64:
        """Numbers of terms as codes that do not depend on the texts."""
        if self.codes is not None:
            return self.codes[term]
        assert self.alphabet is not None
        first, second = np.divmod(term, len(self.alphabet))
        # The first slot of a single character is 0, that of a pair the character's number plus 1.
        high = np.where(first > 0, self.alphabet[first - 1] + 1, 0)
        return (high << _CODE_POINT_BITS) | self.alphabet[second]


def _words(texts: Sequence[str]) -> Terms:
    lists = [words(text) for text in texts]
    flat = [word for row in lists for word in row]
    numbers = {word: number for number, word in enumerate(dict.fromkeys(flat))}
    codes = [xxhash.xxh3_64_intdigest(word.encode()) >> 1 for word in numbers]
    return Terms(
        text=np.repeat(np.arange(len(texts)), [len(row) for row in lists]),
        term=np.fromiter(map(numbers.__getitem__, flat), np.int64, len(flat)),
        num_terms=max(len(numbers), 1),
        codes=np.array(codes, dtype=np.int64),
    )


def _characters(texts: Sequence[str]) -> Terms:
    lowered = [text.lower() for text in texts]
    points = code_points("".join(lowered)).astype(np.int64)
    text = np.repeat(np.arange(len(texts)), [len(row) for row in lowered])
    found, counts = _unique_points(points)
    alphabet = found[[_WORD.match(chr(point)) is not None for point in found]] if counts else found
    number = np.full(int(found.max(initial=0)) + 1, -1, dtype=np.int64)
    number[alphabet] = np.arange(len(alphabet))
    character = number[points]
    is_term = character >= 0
    is_pair = is_term[:-1] & is_term[1:] & (text[:-1] == text[1:])
    size = max(len(alphabet), 1)
    pairs = (character[:-1][is_pair] + 1) * size + character[1:][is_pair]
    return Terms(
        text=np.concatenate([text[is_term], text[:-1][is_pair]]),
        term=np.concatenate([character[is_term], pairs]),
        num_terms=(size + 1) * size,
        alphabet=alphabet,
    )


def _unique_points(points: _Int64) -> tuple[_Int64, int]:
    present = np.flatnonzero(np.bincount(points)) if len(points) else points
    return present, len(present)
