from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.datasets.conll import read
from pipeline.datasets.prepare import sort_out
from pipeline.datasets.rows import Broken
from pipeline.errors import ParamsError
from pipeline.schema import Example

IOB2 = ("B-PER", "I-PER", "B-PER", "O", "B-LOC")


def tags(folder: Path, written: str, scheme: str) -> tuple[str, ...] | None:
    lines = [f"w{number} NN {tag}" for number, tag in enumerate(written.split())]
    (folder / "x.conll").write_text("-DOCSTART- -X- O\n\n" + "\n".join(lines) + "\n")
    (row,) = read(folder, {"x": "x.conll"}, scheme=scheme)["x"]
    assert isinstance(row, Example)
    assert row.context == "w0 w1 w2 w3 w4"
    return row.labels


@pytest.mark.parametrize(
    ("scheme", "written"),
    [
        ("iob2", "B-PER I-PER B-PER O B-LOC"),
        ("iob1", "I-PER I-PER B-PER O I-LOC"),
        ("bioes", "B-PER E-PER S-PER O S-LOC"),
        ("bioes", "B-PER L-PER U-PER O U-LOC"),
    ],
)
def test_every_scheme_becomes_iob2(tmp_path: Path, scheme: str, written: str) -> None:
    assert tags(tmp_path, written, scheme) == IOB2


def test_a_tag_that_goes_on_with_nothing_begins_an_entity(tmp_path: Path) -> None:
    assert tags(tmp_path, "I-PER I-LOC O I-LOC I-LOC", "iob2") == ("B-PER", "B-LOC", "O", "B-LOC", "I-LOC")


def test_sentences_that_cannot_be_used(tmp_path: Path) -> None:
    text = "en:Oslo\tB-LOC\nen:is\tO\n\n\nalone\n\nen:a\tX-LOC\n\nen:New York\tB-LOC\n\nen:end\tO"
    (tmp_path / "x").write_text(text)
    rows = list(read(tmp_path, {"x": "x"}, prefix="en:")["x"])
    assert [row for row in rows if isinstance(row, Example)] == [
        Example("0", "", "Oslo is", labels=("B-LOC", "O")),
        Example("4", "", "end", labels=("O",)),
    ]
    assert [(row.id, row.reason) for row in rows if isinstance(row, Broken)] == [
        ("1", "malformed"),
        ("2", "wrong_label"),
        ("3", "malformed"),
    ]


def test_stray_byte_order_marks_are_no_part_of_words_and_lines(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("\ufeffOslo\tB-LOC\r\n\ufeff\r\n\ufeffAda\tB-PER\r\n\ufeff", encoding="utf-8")
    rows = list(read(tmp_path, {"x": "x"})["x"])
    assert rows == [Example("0", "", "Oslo", labels=("B-LOC",)), Example("1", "", "Ada", labels=("B-PER",))]


def test_white_space_inside_of_a_word_parts_no_columns(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("10\u00a0000  CD O\nx\u3000y B-PER \n\u00a0 O\n", encoding="utf-8")
    (row,) = read(tmp_path, {"x": "x"})["x"]
    assert row == Example("0", "", "10\u00a0000 x\u3000y \u00a0", labels=("O", "B-PER", "O"))


def test_words_without_tags(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("only\nwords\n")
    assert list(read(tmp_path, {"x": "x"}, tag=None)["x"]) == [Example("0", "", "only words")]


def test_unknown_scheme(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="did you mean 'iob2'"):
        read(tmp_path, {"x": "x"}, scheme="iob")


@pytest.mark.parametrize(
    ("name", "prefix", "rows", "rejects"),
    [
        ("wnut17/wnut17train.conll", "", 3_394, 0),
        ("wnut17/emerging.dev.conll", "", 1_009, 0),
        ("wikiann_en/dev", "en:", 10_000, 0),
    ],
)
def test_real_files(
    shared_file: Callable[[str], Path], name: str, prefix: str, rows: int, rejects: int
) -> None:
    file = shared_file(f"data/{name}")
    split = sort_out("x", read(file.parent, {"x": file.name}, prefix=prefix)["x"], labels="tags")
    assert (split.counts["rows_in"], len(split.rejects)) == (rows, rejects)
    assert all(len(row.labels or ()) == len(row.context.split(" ")) for row in split.examples)
