"""One text or two and a label a row: classification, relevance, regression, in files of any common format."""

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import chain, count
from math import isnan
from pathlib import Path
from typing import Any

from pipeline.datasets.records import Record, check_columns, files_of, records
from pipeline.datasets.rows import Broken, Rows, shown
from pipeline.schema import Example


def read(
    folder: Path,
    files: Mapping[str, str],
    *,
    text: str = "text",
    question: str | None = None,
    label: str | None = "label",
    id: str | None = None,
    header: bool = True,
    quoted: bool | None = None,
    unlabelled: str | None = None,
    label_separator: str | None = None,
) -> Rows:
    """The rows of a CSV, TSV, JSON, JSON lines or Parquet file a split.

    Args:
        folder: Where the files are.
        files: The file of each split; its suffix says its format (.csv, .json, .jsonl, .parquet, else tabs).
        text: The column of the text, the second one of a pair.
        question: The column of a pair's first text; None where a row has one text.
        label: The column of the label; None where rows have none, and so has a file without the column.
        id: The column of a row's name; None counts rows.
        header: Whether the first line names the columns; without it they are called "0", "1", ...
        quoted: Whether double quotes keep delimiters and line breaks in a field; left out, in .csv alone.
        unlabelled: The label that means that a row has none.
        label_separator: What parts several labels in one field.

    Raises:
        DataError: A file is missing, is of another format or has no such column.
    """
    return {
        split: examples(
            path,
            records(path, columns=None if header else [], quoted=quoted),
            text=text,
            question=question,
            label=label,
            id=id,
            unlabelled=unlabelled,
            label_separator=label_separator,
        )
        for split, path in files_of(folder, files).items()
    }


def examples(
    where: Path | str,
    rows: Iterator[Any],
    *,
    text: str,
    question: str | None = None,
    label: str | None = None,
    id: str | None = None,
    unlabelled: str | None = None,
    label_separator: str | None = None,
) -> Iterator[Example | Broken]:
    """Records as examples; arguments are those of `read`, `where` is what errors name.

    Raises:
        DataError: There is no such column.
    """
    first = next(rows, None)
    if isinstance(first, Mapping):
        check_columns(where, first, [name for name in (text, question, id) if name is not None])
    for number, record in zip(count(), chain([] if first is None else [first], rows)):
        if isinstance(record, Broken):
            yield record
            continue
        name = str(number) if id is None else str(record.get(id))
        texts = [record.get(column) if column is not None else "" for column in (question, text)]
        wrong = next((value for value in texts if not isinstance(value, str)), None)
        if wrong is not None or None in texts:
            yield Broken(name, "malformed", f"expected text; got {shown(wrong)}")
        elif question is not None and not texts[0].strip():
            yield Broken(name, "empty_text", f"{question} {shown(texts[0])}")
        else:
            labels = _labels(record, label, unlabelled, label_separator)
            yield Example(name, texts[0].strip(), texts[1].strip(), labels=labels)


def _labels(
    record: Record, label: str | None, unlabelled: str | None, separator: str | None
) -> tuple[str, ...] | None:
    value = record.get(label) if label is not None else None
    if _is_missing(value) or str(value).strip() == unlabelled:
        return None
    if isinstance(value, list):
        return tuple(str(part).strip() for part in value if not _is_missing(part))
    if separator is None:
        return (str(value).strip(),)
    return tuple(part.strip() for part in str(value).split(separator) if part.strip())


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and isnan(value))


# Known layouts of this kind, by the names of their columns.
OCNLI = partial(read, question="sentence1", text="sentence2", label="label", id="id", unlabelled="-")
WIKIQA = partial(read, question="Question", text="Sentence", label="Label")
