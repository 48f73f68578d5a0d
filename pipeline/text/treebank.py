"""Words as the Penn Treebank parts them, by one expression: for scores of free text, with their places."""

import re

# "n't" and what hangs on a word with an apostrophe stand alone; hyphens, abbreviations and the marks inside
# numbers do not part a word.
CLITIC = r"['’](?:s|m|d|re|ve|ll)\b"
CONTRACTED = rf"\w+?(?=n['’]t\b)|n['’]t\b|{CLITIC}"
_WORD = re.compile(
    rf"""
    {CONTRACTED}
    | \w+ (?: [-/]\w+ | (?<=\d)[.,:]\d\w* | (?<=\b\w)\.\w\b | (?!{CLITIC})['’]\w+ )*
    | [$£€¥%&@\#+=*]
    """,
    re.VERBOSE | re.IGNORECASE,
)


def word_spans(text: str) -> list[tuple[int, int]]:
    """Where the words of `text` stand, end excluded. Punctuation and brackets are no words.

    Source: the conventions of the tokenizer in front of the COCO caption scores (Chen et al. 2015,
    arXiv:1504.00325, sec. 3.1), which are Stanford's PTBTokenizer without punctuation. Differs: contractions
    without an apostrophe ("cannot") stay whole, abbreviations lose their last full stop.
    """
    return [match.span() for match in _WORD.finditer(text)]


def words(text: str) -> list[str]:
    """The words of `text`, in lower case, each apostrophe the plain one."""
    lowered = text.replace("’", "'")
    return [lowered[start:end].lower() for start, end in word_spans(lowered)]
