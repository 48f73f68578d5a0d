"""A text as words that carry its labels with them, and back.

What must stay together is one word here: an answer with all words that it touches, and an entity. So whatever
is done to words, an answer keeps its characters and an entity its tags.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

from pipeline.datasets.labels import words as tagged_words
from pipeline.schema import Answer
from pipeline.text.treebank import CLITIC, CONTRACTED

# As the Penn Treebank parts them, whose parts taggers know: "do n't", "it 's"; but "well-known", "U.S".
_ENGLISH = re.compile(rf"{CONTRACTED}|\w+(?:(?!{CLITIC})['’.\-]\w+)*|([^\w\s])\1*", re.IGNORECASE)
_OUTSIDE = "O"
# Characters of words that spaces part: not those of Chinese.
_SPACED = re.compile(r"[^\W\u2e80-\U0003ffff]")


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text, or several that must stay together.

    Args:
        text: Its characters.
        gap: What stands between it and the word before, white space or nothing.
        tags: Its tags where the text is tagged: one, or those of all words of an entity.
        answers: The answers in it: their place among the row's, their first character here, and their text.
    """

    text: str
    gap: str = ""
    tags: tuple[str, ...] = ()
    answers: tuple[tuple[int, int, str], ...] = ()

    @property
    def is_fixed(self) -> bool:
        """Whether its text must stay as it is, for a label is about it."""
        return self.is_needed or any(tag != _OUTSIDE for tag in self.tags)

    @property
    def is_needed(self) -> bool:
        """Whether the row would lose a label with it."""
        return bool(self.answers)


@dataclass(frozen=True, slots=True)
class Text:
    """A text made of words, with the tags and answers that came with them."""

    text: str
    tags: tuple[str, ...]
    answers: tuple[Answer, ...]


def read_words(
    text: str,
    language: str,
    *,
    answers: Sequence[Answer] = (),
    tags: Sequence[str] | None = None,
    is_tagged: bool = False,
) -> list[Word]:
    """The words of `text` in their order; white space before the first and after the last is left out.

    Args:
        text: The text.
        language: "en" or "zh".
        answers: Answers that stand in it.
        tags: Its tags, one a word, where it has any.
        is_tagged: Words are what spaces part, as in all texts of tagging.
    """
    if tags is not None:
        units = _entities(tagged_words(text), tags)
    else:
        spans = tagged_words(text) if is_tagged else _SPLITTERS[language](text)
        units = [(start, end, ()) for start, end in _apart(spans, answers)]
    words = []
    before = units[0][0] if units else 0
    for start, end, own in units:
        inside = tuple(
            (place, answer.start - start, answer.text)
            for place, answer in enumerate(answers)
            if start <= answer.start < end
        )
        words.append(Word(text[start:end], text[before:start], own, inside))
        before = end
    return words


def join_words(words: Sequence[Word], before: Sequence[Word]) -> Text:
    """The text that words make; the gap before the first is left out.

    Args:
        words: The words.
        before: What they were before they were changed. Two that did not touch there do not run into one.
    """
    touching = {(left.text, right.text) for left, right in pairwise(before) if not right.gap}
    parts: list[str] = []
    answers: list[tuple[int, Answer]] = []
    length = 0
    for word in words:
        pair = (parts[-1] if parts else "", word.text)
        gap = word.gap if parts else ""
        if not gap and pair not in touching and _run_together(*pair):
            gap = " "
        start = length + len(gap)
        answers += [(place, Answer(text, start + first)) for place, first, text in word.answers]
        parts += [gap, word.text]
        length = start + len(word.text)
    answers.sort(key=lambda placed: placed[0])
    return Text(
        "".join(parts),
        tuple(tag for word in words for tag in word.tags),
        tuple(answer for _, answer in answers),
    )


def _run_together(left: str, right: str) -> bool:
    return bool(_SPACED.fullmatch(left[-1:]) and _SPACED.fullmatch(right[:1]))


def _english(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in _ENGLISH.finditer(text)]


def _chinese(text: str) -> list[tuple[int, int]]:
    import rjieba  # reads its dictionary

    return [(start, end) for word, start, end in rjieba.tokenize(text) if word.strip()]


_SPLITTERS: Mapping[str, Callable[[str], list[tuple[int, int]]]] = MappingProxyType(
    {"en": _english, "zh": _chinese}
)


def _apart(spans: Sequence[tuple[int, int]], answers: Sequence[Answer]) -> list[tuple[int, int]]:
    """Words and answers as spans that do not overlap: those that do are one."""
    found: list[tuple[int, int]] = []
    for start, end in sorted([*spans, *((each.start, each.start + len(each.text)) for each in answers)]):
        if found and start < found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def _entities(
    spans: Sequence[tuple[int, int]], tags: Sequence[str]
) -> list[tuple[int, int, tuple[str, ...]]]:
    """Words, those of an entity as one, which begins with B- so that it stays one beside any other."""
    found: list[tuple[int, int, tuple[str, ...]]] = []
    for (start, end), tag in zip(spans, tags, strict=True):
        kind = tag[2:]
        if tag.startswith("I-") and found and found[-1][2][-1][2:] == kind:
            first, _, before = found[-1]
            found[-1] = (first, end, (*before, tag))
        else:
            found.append((start, end, (tag if tag == _OUTSIDE else f"B-{kind}",)))
    return found
