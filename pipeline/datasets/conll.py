"""Tagged words, one a line, with an empty line after each sentence: CoNLL-2003 and its kin."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from pipeline.datasets.records import files_of, read_text
from pipeline.datasets.rows import Broken, Rows, shown
from pipeline.errors import ParamsError
from pipeline.registry import did_you_mean
from pipeline.schema import Example

_DOCUMENT = "-DOCSTART-"


def read(
    folder: Path,
    files: Mapping[str, str],
    *,
    scheme: str = "iob2",
    word: int = 0,
    tag: int | None = -1,
    prefix: str = "",
) -> Rows:
    """The sentences of one file a split, their tags brought to IOB2, words parted by one space.

    A tag that goes on with an entity that has not begun begins one, as conlleval has it.

    Args:
        folder: Where the files are.
        files: The file of each split.
        scheme: How the file marks entities: iob1, iob2 or bioes.
        word: Which column the word is.
        tag: Which column the tag is, counted from the end if negative; None where there are none.
        prefix: What stands before every word and is no part of it, such as "en:".

    Raises:
        ParamsError: There is no such scheme.
        DataError: A file cannot be read.
    """
    if scheme not in _TO_IOB2:
        raise ParamsError(
            "option 'scheme' of reader 'conll'",
            expected="a scheme of tags",
            got=repr(scheme),
            remedy=did_you_mean(scheme, _TO_IOB2),
        )
    return {
        split: _sentences(path, _TO_IOB2[scheme], word, tag, prefix)
        for split, path in files_of(folder, files).items()
    }


def _sentences(
    path: Path, to_iob2: Callable[[Sequence[str]], list[str]], word: int, tag: int | None, prefix: str
) -> Iterator[Example | Broken]:
    lines = [line.removesuffix("\r") for line in read_text(path).split("\n")]
    number = 0
    for is_empty, group in groupby(enumerate(lines, 1), key=lambda numbered: not numbered[1].strip()):
        rows = [(at, line) for at, line in group if not line.startswith(_DOCUMENT)]
        if is_empty or not rows:
            continue
        yield _sentence(str(number), rows, to_iob2, word, tag, prefix)
        number += 1


def _sentence(
    name: str,
    lines: Sequence[tuple[int, str]],
    to_iob2: Callable[[Sequence[str]], list[str]],
    word: int,
    tag: int | None,
    prefix: str,
) -> Example | Broken:
    words, tags = [], []
    for at, line in lines:
        cells = line.split("\t") if "\t" in line else line.split()
        if len(cells) < 2 and tag is not None:
            return Broken(name, "malformed", f"line {at}: expected a word and a tag; got {shown(line)}")
        try:
            words.append(cells[word].removeprefix(prefix))
            tags.append(cells[tag].strip() if tag is not None else "O")
        except IndexError:
            return Broken(name, "malformed", f"line {at}: expected more columns; got {shown(line)}")
        if not words[-1] or " " in words[-1]:
            return Broken(name, "malformed", f"line {at}: expected a word without spaces; got {shown(line)}")
        if not _is_tag(tags[-1]):
            return Broken(
                name, "wrong_label", f"line {at}: expected O or a tag with a type; got {tags[-1]!r}"
            )
    return Example(name, "", " ".join(words), labels=tuple(to_iob2(tags)) if tag is not None else None)


def _is_tag(tag: str) -> bool:
    mark, _, kind = tag.partition("-")
    return tag == "O" or (mark in "BIESLU" and len(mark) == 1 and bool(kind))


def _from_iob(tags: Sequence[str]) -> list[str]:
    """IOB1 begins an entity with B only where it follows one of its type, IOB2 always."""
    found, before = [], "O"
    for tag in tags:
        goes_on = tag[:2] == "I-" and before[2:] == tag[2:]
        before = tag if tag == "O" else f"{'I' if goes_on else 'B'}-{tag[2:]}"
        found.append(before)
    return found


def _from_bioes(tags: Sequence[str]) -> list[str]:
    """S (or U) is an entity of one word, E (or L) ends one of several."""
    marks = {"S": "B", "U": "B", "E": "I", "L": "I"}
    return _from_iob([tag if tag == "O" else f"{marks.get(tag[0], tag[0])}-{tag[2:]}" for tag in tags])


_TO_IOB2 = {"iob1": _from_iob, "iob2": _from_iob, "bioes": _from_bioes}
