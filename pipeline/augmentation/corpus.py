"""The words of all rows that are augmented, by their parts of speech."""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import accumulate
from random import Random

from pipeline.augmentation.parts_of_speech import parts_of_speech
from pipeline.augmentation.words import Word


class Corpus:
    """Words to replace others with; nothing is counted before the first is asked for.

    Args:
        texts: The words of each text. Those that are fixed take part in no replacement.
        language: "en" or "zh".
    """

    def __init__(self, texts: Iterable[Sequence[Word]], language: str) -> None:
        self._texts = texts
        self._language = language
        self._last: tuple[Sequence[Word], tuple[str, ...]] = ((), ())

    def like(self, words: Sequence[Word], place: int, random: Random) -> str:
        """A word of the part of speech of `words[place]`, drawn as often as it stands in the corpus.

        It may be the same word. One that the corpus has none like is given back.
        """
        known = self._by_part.get(self._parts(words)[place])
        return random.choices(known[0], cum_weights=known[1])[0] if known else words[place].text

    @cached_property
    def _by_part(self) -> dict[str, tuple[list[str], list[int]]]:
        counts: dict[str, Counter[str]] = {}
        for words in self._texts:
            for word, part in zip(words, self._parts(words), strict=True):
                if not word.is_fixed:
                    counts.setdefault(part, Counter())[word.text] += 1
        return {
            part: (list(counted), list(accumulate(counted.values())))
            for part, counted in sorted(counts.items())
        }

    def _parts(self, words: Sequence[Word]) -> tuple[str, ...]:
        # A text is asked about once for each of its words that is replaced.
        if self._last[0] is not words:
            self._last = words, parts_of_speech([word.text for word in words], self._language)
        return self._last[1]
