"""Tagged words, one a line, with an empty line after each sentence: CoNLL-2003 and its kin."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from pipeline.datasets.records import files_of, read_text
from pipeline.datasets.rows import Broken, Rows, shown
from pipeline.datasets.schemes import ToIob2, is_tag, to_iob2
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
    convert = to_iob2(scheme, "conll")
    return {
        split: _sentences(path, convert, word, tag, prefix) for split, path in files_of(folder, files).items()
    }


def _sentences(
    path: Path, convert: ToIob2, word: int, tag: int | None, prefix: str
) -> Iterator[Example | Broken]:
    # Files that were joined hold byte order marks that once stood at the start of one.
    lines = [line.strip("\ufeff\r") for line in read_text(path).split("\n")]
    number = 0
    for is_empty, group in groupby(enumerate(lines, 1), key=lambda numbered: not numbered[1].strip()):
        rows = [(at, line) for at, line in group if not line.startswith(_DOCUMENT)]
        if is_empty or not rows:
            continue
        yield _sentence(str(number), rows, convert, word, tag, prefix)
        number += 1


def _sentence(
    name: str,
    lines: Sequence[tuple[int, str]],
    convert: ToIob2,
    word: int,
    tag: int | None,
    prefix: str,
) -> Example | Broken:
    words, tags = [], []
    for at, line in lines:
        # Other white space may stand inside of a word.
        cells = line.split("\t") if "\t" in line else re.split(" +", line.strip(" "))
        if len(cells) < 2 and tag is not None:
            return Broken(name, "malformed", f"line {at}: expected a word and a tag; got {shown(line)}")
        try:
            words.append(cells[word].removeprefix(prefix))
            tags.append(cells[tag].strip() if tag is not None else "O")
        except IndexError:
            return Broken(name, "malformed", f"line {at}: expected more columns; got {shown(line)}")
        if not words[-1] or " " in words[-1]:
            return Broken(name, "malformed", f"line {at}: expected a word without spaces; got {shown(line)}")
        if not is_tag(tags[-1]):
            return Broken(
                name, "wrong_label", f"line {at}: expected O or a tag with a type; got {tags[-1]!r}"
            )
    return Example(name, "", " ".join(words), labels=tuple(convert(tags)) if tag is not None else None)
