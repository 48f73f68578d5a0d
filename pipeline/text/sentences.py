"""Sentences of a text, as spans that partition it: English and Chinese.

Rules instead of a model: a sentence ends at its final mark with the quotes and brackets that close after
it, and at a line break. White space after a sentence belongs to it.
"""

import re

from pipeline.errors import ParamsError

Span = tuple[int, int]

LANGUAGES = ("en", "zh")

_CLOSERS = "\"'”’»)\\]」』）】》〉］"

# A candidate is a boundary only where `_ends_english` says so.
_ENGLISH = re.compile(rf"(?P<mark>[.!?…]++)(?P<closers>[{_CLOSERS}]*+)(?:\[\d++\])*+\s++|\n\s*+")

# No space is needed, and a comma after the closing quote goes on with the sentence.
# A full stop ends a sentence only after a Chinese character: others stand in names and numbers.
_CHINESE = re.compile(
    rf"(?:[。！？；!?;…｡]++[{_CLOSERS}]*+(?![，、：,。]))\s*+"
    rf"|(?<=[\u4e00-\u9fff])\.[{_CLOSERS}]*+(?=\s|$)\s*+"
    r"|\n\s*+"
)

# A name or a number follows these.
_TITLES = frozenset(
    re.findall(
        r"\w+",
        """mr mrs ms dr prof st gen col lt sgt capt cmdr adm maj rev hon gov sen rep pres fr mt ft
        vs cf ca approx dept univ fig figs vol vols nos pp eds trans op ch sec""",
    )
)

# These may also end a sentence, as initials and acronyms do: "J. Smith", "the U.S. Army".
_ABBREVIATIONS = frozenset(
    re.findall(
        r"\w+",
        """etc eg ie al ed jr sr inc ltd co corp bros assn jan feb mar apr jun jul aug sep sept oct nov dec
        mon tue thu fri""",
    )
)

# After those only these words begin a new sentence.
_OPENERS = frozenset(
    re.findall(
        r"\w+",
        """the an in on at it its he she they we you this that these those there his her their our my
        however although but and when while after before as by for from with some many most all both each
        if since during despite because thus therefore what who why how where""",
    )
)

_WORD_BEFORE = re.compile(r"[^\s(\[\"“‘']*$")
_WORD_AFTER = re.compile(r"[\"“‘'(\[«]*+(\w*)")


def sentences(text: str, language: str) -> list[Span]:
    """The spans of the sentences of `text`, which follow each other without a gap; none for an empty text.

    Raises:
        ParamsError: There are no rules for the language.
    """
    if language not in LANGUAGES:
        raise ParamsError(
            "language", expected=f"one of {', '.join(LANGUAGES)}", got=repr(language), remedy="choose one"
        )
    ends = _chinese_ends(text) if language == "zh" else _english_ends(text)
    if text and (not ends or ends[-1] < len(text)):
        ends.append(len(text))
    return list(zip([0, *ends[:-1]], ends, strict=True)) if ends else []


def _chinese_ends(text: str) -> list[int]:
    leading_space = len(text) - len(text.lstrip())
    return [match.end() for match in _CHINESE.finditer(text) if match.end() > leading_space]


def _english_ends(text: str) -> list[int]:
    ends: list[int] = []
    for match in _ENGLISH.finditer(text):
        start = ends[-1] if ends else 0
        if _ends_english(text, start, match):
            ends.append(match.end())
    return ends


def _ends_english(text: str, start: int, match: re.Match[str]) -> bool:
    """Whether the sentence that began at `start` ends with `match`."""
    before = text[start : match.start()]
    if "\n" in match.group():
        return bool(before.strip() or match["mark"])
    after = _WORD_AFTER.match(text, match.end())
    following = after.group(1) if after else ""
    goes_on = following[:1].islower()
    if match["mark"] != "." or match["closers"]:
        return not goes_on
    word_match = _WORD_BEFORE.search(before)
    word = word_match.group() if word_match else ""
    if not before.strip() or before.strip().isdecimal():  # "1. " opens an item of a list
        return False
    if word.casefold() == "no":  # an answer, or a number
        return not following[:1].isdecimal()
    if word.casefold() in _TITLES:
        return False
    if word.casefold() in _ABBREVIATIONS or "." in word or (len(word) == 1 and word.isupper()):
        return following.casefold() in _OPENERS and not goes_on
    return not (goes_on and len(word) < 3)
