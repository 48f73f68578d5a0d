"""Questions, each with the sentence that answers it, and, if wanted, with sentences near by that need not.

The layout is that of ReQA SQuAD (Ahmad et al. 2019, arXiv:1907.04780): one JSON object with lists as long as
each other. No row has a label: a sentence next to the right one may answer as well.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline.datasets.records import files_of, read_text
from pipeline.datasets.rows import Broken, Rows, shown
from pipeline.errors import DataError
from pipeline.schema import Example

_COLUMNS = ("questions", "answers", "question_ids")


def read(
    folder: Path, files: Mapping[str, str], *, others: int = 0, max_questions: int | None = None
) -> Rows:
    """Each question with its sentence, then with those of the questions numbered next.

    Numbers follow the data set that questions come from, so those next to each other are mostly about one
    article.

    Args:
        folder: Where the files are.
        files: The file of each split.
        others: How many other sentences a question is paired with, each different from its own.
        max_questions: Only so many questions, from the first on.

    Raises:
        DataError: A file is missing or is of another format.
    """
    return {
        split: _pairs(*(column[:max_questions] for column in _columns(path)), others=others)
        for split, path in files_of(folder, files).items()
    }


def _columns(path: Path) -> tuple[list[Any], ...]:
    try:
        given = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise DataError(path, expected="JSON", got=str(error), remedy="check the file") from error
    found = [given.get(name) for name in _COLUMNS] if isinstance(given, dict) else []
    columns = tuple(column for column in found if isinstance(column, list))
    if len(columns) != len(_COLUMNS) or len(set(map(len, columns))) != 1:
        raise DataError(
            path,
            expected=f"an object with lists of one length: {', '.join(_COLUMNS)}",
            got=shown(list(given) if isinstance(given, dict) else given),
            remedy="use reader 'pairs' for rows of two texts",
        )
    return columns


def _pairs(
    questions: Sequence[Any], answers: Sequence[Any], numbers: Sequence[Any], *, others: int
) -> Iterator[Example | Broken]:
    order = sorted(range(len(numbers)), key=lambda at: _sortable(numbers[at]))
    places = {at: place for place, at in enumerate(order)}
    for at, (question, answer, number) in enumerate(zip(questions, answers, numbers, strict=True)):
        wrong = [value for value in (question, answer) if not isinstance(value, str)]
        if wrong:
            yield Broken(str(number), "malformed", f"expected text; got {shown(wrong[0])}")
            continue
        if not question.strip():
            yield Broken(str(number), "empty_text", f"question {shown(question)}")
            continue
        yield Example(str(number), question.strip(), answer.strip())
        following = (answers[order[(places[at] + step) % len(order)]] for step in range(1, len(order)))
        texts = (text.strip() for text in following if isinstance(text, str))
        different = (text for text in texts if text not in ("", answer.strip()))
        for place, text in enumerate(islice(different, others), start=1):
            yield Example(f"{number}-{place}", question.strip(), text)


def _sortable(number: Any) -> tuple[bool, int, str]:
    """Numbers by value, before all that is none."""
    is_number = isinstance(number, int)
    return not is_number, number if is_number else 0, str(number)
