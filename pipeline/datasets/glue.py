"""The tab-separated files of GLUE (Wang et al. 2019, arXiv:1804.07461): quotes are literal."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.datasets.pairs import examples
from pipeline.datasets.records import files_of, records
from pipeline.datasets.rows import Broken, Rows
from pipeline.errors import DataError, ParamsError
from pipeline.registry import did_you_mean
from pipeline.schema import Example


@dataclass(frozen=True)
class _Layout:
    """The columns of a task's files; `bare` are those of a file without a header."""

    text: str
    question: str | None = None
    label: str = "label"
    bare: tuple[str, ...] = ()


_LAYOUTS = {
    "cola": _Layout("sentence", bare=("source", "label", "mark", "sentence")),
    "mnli": _Layout("sentence2", "sentence1", "gold_label"),
    "mrpc": _Layout("#2 String", "#1 String", "Quality"),
    "qnli": _Layout("sentence", "question"),
    "qqp": _Layout(
        "question2", "question1", "is_duplicate", bare=("is_duplicate", "question1", "question2", "id")
    ),
    "rte": _Layout("sentence2", "sentence1"),
    "sst2": _Layout("sentence"),
    "stsb": _Layout("sentence2", "sentence1", "score"),
    "wnli": _Layout("sentence2", "sentence1"),
}

_IDS = ("index", "id", "pairID")


def read(folder: Path, files: Mapping[str, str], *, task: str) -> Rows:
    """The rows of one file a split; a file without the column of labels is unlabelled.

    Args:
        folder: Where the files are.
        files: The file of each split.
        task: cola, mnli, mrpc, qnli, qqp, rte, sst2, stsb or wnli.

    Raises:
        ParamsError: There is no such task.
        DataError: A file is missing or has another layout.
    """
    if task not in _LAYOUTS:
        raise ParamsError(
            "option 'task' of reader 'glue'",
            expected="a task of GLUE",
            got=repr(task),
            remedy=did_you_mean(task, _LAYOUTS),
        )
    return {split: _rows(path, _LAYOUTS[task]) for split, path in files_of(folder, files).items()}


def _rows(path: Path, layout: _Layout) -> Iterator[Example | Broken]:
    bare = records(path, columns=[])
    first = next(bare, None)
    has_header = isinstance(first, Mapping) and layout.text in map(str.strip, first.values())
    if has_header:
        rows = records(path)
        header = [name.strip() for name in first.values()] if isinstance(first, Mapping) else []
    elif isinstance(first, Mapping) and len(first) == len(layout.bare):
        rows, header = records(path, columns=layout.bare), list(layout.bare)
    else:
        raise DataError(
            path,
            expected=f"a column called {layout.text!r}",
            got=", ".join(map(str, first.values())) if isinstance(first, Mapping) else "no lines",
            remedy="check the file, or the option `task`",
        )
    id = next((name for name in _IDS if name in header), None)
    return examples(path, rows, text=layout.text, question=layout.question, label=layout.label, id=id)
