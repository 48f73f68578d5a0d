import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.datasets import READERS
from pipeline.datasets.pairs import read
from pipeline.datasets.prepare import sort_out
from pipeline.datasets.rows import Broken
from pipeline.errors import DataError
from pipeline.schema import Example

ROWS = [{"id": 7, "a": "one", "b": "two, or\nthree", "label": 1}, {"id": 8, "a": "x", "b": '"y"', "label": 0}]


def _csv(path: Path) -> None:
    path.write_text('id,a,b,label\n7,one,"two, or\nthree",1\n8,x,"""y""",0\n', encoding="utf-8-sig")


def _lines(path: Path) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))


def _list(path: Path) -> None:
    path.write_text(json.dumps(ROWS))


def _parquet(path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), path)


@pytest.mark.parametrize(
    ("name", "write"),
    [("x.csv", _csv), ("x.jsonl", _lines), ("x.json", _list), ("x.json", _lines), ("x.parquet", _parquet)],
)
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str, write: Callable[[Path], None]) -> None:
    write(tmp_path / name)
    rows = read(tmp_path, {"dev": name}, question="a", text="b", id="id")["dev"]
    assert list(rows) == [
        Example("7", "one", "two, or\nthree", labels=("1",)),
        Example("8", "x", '"y"', labels=("0",)),
    ]


def test_tabs_part_literal_fields(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_bytes(
        b'say "it\tnow\tyes\r\n'
        b"two\tfields\r\n"
        b"\xff\tis no UTF-8\tno\r\n"
        b" \tno first text\tno\r\n"
        b"next\xc2\x85line\tstays one line\t-\r\n"
    )
    rows = read(tmp_path, {"dev": "x.tsv"}, header=False, question="0", text="1", label="2", unlabelled="-")
    split = sort_out("dev", rows["dev"], labels="class")
    assert [(row.question, row.labels) for row in split.examples] == [
        ('say "it', ("yes",)),
        ("next\x85line", None),
    ]
    assert [(row.row, row.reason) for row in split.rejects] == [
        (1, "malformed"),
        (2, "not_unicode"),
        (3, "empty_text"),
    ]
    assert split.counts["rows_in"] == 5


def test_quotes_count_where_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_text('text\tlabel\n"one\ttwo\nlines"\t1\n')
    (quoted,) = read(tmp_path, {"dev": "x.tsv"}, quoted=True)["dev"]
    assert quoted == Example("0", "", "one\ttwo\nlines", labels=("1",))
    (tmp_path / "x.csv").write_text('text,label\n"one,1\n')
    (literal,) = read(tmp_path, {"dev": "x.csv"}, quoted=False)["dev"]
    assert literal == Example("0", "", '"one', labels=("1",))


@pytest.mark.parametrize("labels", [" joy;fear ;", ["joy", "fear"]])
def test_several_labels_in_one_field(tmp_path: Path, labels: Any) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps({"text": "t", "label": labels}))
    (row,) = read(tmp_path, {"dev": "x.jsonl"}, label_separator=";")["dev"]
    assert row == Example("0", "", "t", labels=("joy", "fear"))


def test_what_is_missing_is_no_label(tmp_path: Path) -> None:
    lines = [
        '{"text": "a", "label": NaN}',
        '{"text": "b", "label": ["x", null]}',
        '{"text": "c", "label": null}',
    ]
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    rows = [row for row in read(tmp_path, {"x": "x.jsonl"})["x"] if isinstance(row, Example)]
    assert [row.labels for row in rows] == [None, ("x",), None]


def test_rows_that_are_no_rows(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"text": "t"}\n[1]\n{"text": 3}\n{oops\n')
    first, *others = read(tmp_path, {"dev": "x.jsonl"})["dev"]
    assert first == Example("0", "", "t")
    assert [isinstance(row, Broken) and row.reason for row in others] == ["malformed"] * 3


def test_a_missing_column_or_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("texts,label\na,b\n")
    with pytest.raises(DataError, match=r"a column called 'text'.*did you mean 'texts'"):
        list(read(tmp_path, {"dev": "x.csv"})["dev"])
    with pytest.raises(DataError, match=r"absent\.csv"):
        list(read(tmp_path, {"dev": "absent.csv"})["dev"])
    (tmp_path / "x.parquet").write_text("no")
    with pytest.raises(DataError, match="a Parquet file"):
        list(read(tmp_path, {"dev": "x.parquet"})["dev"])


@pytest.mark.parametrize(
    ("reader", "name", "options", "kind", "expected"),
    [
        ("ocnli", "ocnli/train.10k.json", {}, "class", (10_000, 0, 9_985)),
        ("xnli", "xnli/dev-en.tsv", {}, "class", (2_490, 0, 2_490)),
        ("xnli", "xnli/xnli.zh.dev.tsv", {}, "class", (2_490, 0, 2_490)),
        ("pairs", "sick/SICK_train.txt",
         {"question": "sentence_A", "text": "sentence_B", "label": "relatedness_score"}, "number",
         (4_500, 0, 4_500)),
        ("pairs", "sick/SICK_trial.txt",
         {"question": "sentence_A", "text": "sentence_B", "label": "entailment_judgment"}, "class",
         (500, 0, 500)),
        ("pairs", "wikiqa/WikiQASent-dev.txt", {"header": False, "question": "0", "text": "1", "label": "2"},
         "class", (2_733, 0, 2_733)),
    ],
)  # fmt: skip
def test_real_files(
    shared_file: Callable[[str], Path],
    reader: str,
    name: str,
    options: dict[str, Any],
    kind: str,
    expected: tuple[int, int, int],
) -> None:
    assert READERS.option_problems(reader, options) == []
    file = shared_file(f"data/{name}")
    rows = READERS.load(reader)(file.parent, {"x": file.name}, **options)["x"]
    counts = sort_out("x", rows, labels=kind).counts
    assert (counts["rows_in"], counts["rejects"], counts["labelled"]) == expected
