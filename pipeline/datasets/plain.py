"""Sentences without labels, from plain text and from what WikiExtractor writes."""

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

from pipeline.datasets.records import files_of, read_text
from pipeline.datasets.rows import Broken, Rows, shown
from pipeline.errors import DataError
from pipeline.schema import Example
from pipeline.text.sentences import sentences

_DOCUMENT = re.compile(r'<doc [^>]*?\bid="(?P<id>[^"]*)"[^>]*>\n(?P<title>[^\n]*)\n(?P<text>.*?)</doc>', re.S)
_OPENING = re.compile(r"^<doc ", re.M)


def read_lines(folder: Path, files: Mapping[str, str], *, language: str | None = None) -> Rows:
    """Every line of a text file that is not blank, or its sentences.

    Args:
        folder: Where the files are.
        files: The file of each split.
        language: "en" or "zh", whose sentences the lines are split into; None takes lines as they are.

    Raises:
        DataError: A file cannot be read.
        ParamsError: The language is not known.
    """
    return {
        split: _numbered(_lines(read_text(path), language), "")
        for split, path in files_of(folder, files).items()
    }


def read_wikiextractor(folder: Path, files: Mapping[str, str], *, language: str = "en") -> Rows:
    """The sentences of articles in <doc> blocks, their titles left out; named after article and place.

    A block that is not whole, as at the end of a file that was cut, is one row that is refused.

    Args:
        folder: Where the files are.
        files: The file of each split.
        language: "en" or "zh", which says where sentences end.

    Raises:
        DataError: A file cannot be read, or holds no article.
        ParamsError: The language is not known.
    """
    return {split: _articles(path, language) for split, path in files_of(folder, files).items()}


def _articles(path: Path, language: str) -> Iterator[Example | Broken]:
    text = read_text(path)
    openings = [match.start() for match in _OPENING.finditer(text)]
    if not openings:
        raise DataError(
            path,
            expected="<doc> blocks of WikiExtractor",
            got="none",
            remedy="use reader 'text' for plain text",
        )
    for start, end in pairwise([*openings, len(text)]):
        article = _DOCUMENT.match(text, start, end)
        if article is None:
            begin = shown(text[start : text.find("\n", start, end)])
            yield Broken("", "malformed", f"expected <doc id=...>, a title and </doc>; got {begin}")
        else:
            yield from _numbered(_lines(article["text"], language), f"{article['id']}-")


def _lines(text: str, language: str | None) -> Iterator[str]:
    if language is None:
        yield from text.split("\n")
    else:
        yield from (text[start:end] for start, end in sentences(text, language))


def _numbered(lines: Iterator[str], prefix: str) -> Iterator[Example]:
    whole = (line.strip() for line in lines)
    yield from (Example(f"{prefix}{number}", "", line) for number, line in enumerate(filter(None, whole)))
