from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.datasets.glue import read
from pipeline.datasets.prepare import sort_out
from pipeline.errors import DataError, ParamsError
from pipeline.schema import Example


def only(folder: Path, text: str, task: str) -> list[Example]:
    (folder / "x.tsv").write_text(text, encoding="utf-8")
    return list(read(folder, {"x": "x.tsv"}, task=task)["x"])


def test_layouts_with_and_without_header_and_labels(tmp_path: Path) -> None:
    assert only(tmp_path, "sentence\tlabel\nfine wine \t1\n", "sst2") == [
        Example("0", "", "fine wine", labels=("1",))
    ]
    assert only(tmp_path, "index\tsentence\n5\tfine\n", "sst2") == [Example("5", "", "fine")]
    assert only(tmp_path, "gj04\t0\t*\tHim left.\n", "cola") == [Example("0", "", "Him left.", labels=("0",))]
    assert only(tmp_path, "1\tWhy?\tHow?\t18\n", "qqp") == [Example("18", "Why?", "How?", labels=("1",))]
    mrpc = '\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n1\t7\t8\tA "quote\tB\r\n'
    assert only(tmp_path, mrpc, "mrpc") == [Example("0", 'A "quote', "B", labels=("1",))]


def test_what_annotators_did_not_agree_on_is_unlabelled(tmp_path: Path) -> None:
    text = "gold_label\tsentence1\tsentence2\n-\tA b.\tC d.\nneutral\tE f.\tG h.\n"
    assert only(tmp_path, text, "mnli") == [
        Example("0", "A b.", "C d."),
        Example("1", "E f.", "G h.", labels=("neutral",)),
    ]


def test_another_layout_or_task_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError,
        match=r"columns called 'sentence1', 'sentence2', 'label'; got sentence, label; .*option `task`",
    ):
        only(tmp_path, "sentence\tlabel\nfine\t1\n", "rte")
    with pytest.raises(DataError, match="no lines"):
        only(tmp_path, "", "rte")
    with pytest.raises(ParamsError, match="did you mean 'sst2'"):
        read(tmp_path, {"x": "x.tsv"}, task="sst-2")


@pytest.mark.parametrize(
    ("task", "name", "kind", "rows", "labelled", "rejects"),
    [
        ("sst2", "glue/SST-2/dev.tsv", "class", 437, 437, 0),
        ("sst2", "glue/SST-2/test.tsv", "class", 1_821, 0, 0),
        ("mrpc", "glue/MRPC/msr_paraphrase_train.txt", "class", 4_076, 4_076, 0),
        ("rte", "glue/RTE/train.tsv", "class", 2_490, 2_490, 0),
        ("stsb", "glue/STS-B/train.tsv", "number", 5_749, 5_749, 0),
        ("cola", "glue/CoLA/train.tsv", "class", 8_551, 8_551, 0),
        ("qnli", "glue/QNLI/dev.tsv", "class", 3_662, 3_662, 0),
        ("qqp", "qqp_part/dev.tsv", "class", 10_000, 9_917, 83),
    ],
)
def test_real_files(
    shared_file: Callable[[str], Path],
    task: str,
    name: str,
    kind: str,
    rows: int,
    labelled: int,
    rejects: int,
) -> None:
    file = shared_file(f"data/{name}")
    split = sort_out("x", read(file.parent, {"x": file.name}, task=task)["x"], labels=kind)
    assert (split.counts["rows_in"], split.counts["labelled"], len(split.rejects)) == (
        rows,
        labelled,
        rejects,
    )
    assert {reject.reason for reject in split.rejects} <= {"not_unicode"}
