"""The tab-separated files of GLUE (Wang et al. 2019, arXiv:1804.07461): quotes are literal."""

from collections.abc import Mapping
from pathlib import Path

from pipeline.datasets.layouts import Layout, laid_out
from pipeline.datasets.records import files_of
from pipeline.datasets.rows import Rows
from pipeline.errors import ParamsError
from pipeline.registry import did_you_mean

_LAYOUTS = {
    "cola": Layout("sentence", bare=("source", "label", "mark", "sentence")),
    "mnli": Layout("sentence2", "sentence1", "gold_label"),
    "mrpc": Layout("#2 String", "#1 String", "Quality"),
    "qnli": Layout("sentence", "question"),
    "qqp": Layout(
        "question2", "question1", "is_duplicate", bare=("is_duplicate", "question1", "question2", "id")
    ),
    "rte": Layout("sentence2", "sentence1"),
    "sst2": Layout("sentence"),
    "stsb": Layout("sentence2", "sentence1", "score"),
    "wnli": Layout("sentence2", "sentence1"),
}


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
    remedy = "check the file, or the option `task`"
    # What the annotators of MultiNLI and SNLI did not agree on.
    unlabelled = "-" if task == "mnli" else None
    return {
        split: laid_out(path, [_LAYOUTS[task]], remedy=remedy, unlabelled=unlabelled)
        for split, path in files_of(folder, files).items()
    }
