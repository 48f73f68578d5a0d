import json
from pathlib import Path

import pytest

from pipeline.datasets.labels import check_labelled, classes, words
from pipeline.datasets.prepare import prepare
from pipeline.datasets.rows import Broken
from pipeline.schema import Example
from pipeline.tables import read_rows, write_rows


def example(labels: tuple[str, ...] | None, text: str = "two words") -> Example:
    return Example("id", "", text, labels=labels)


@pytest.mark.parametrize(
    ("kind", "labels"),
    [
        ("class", ("entailment",)),
        ("classes", ()),
        ("classes", ("joy", "fear")),
        ("number", ("-3.50",)),
        ("tags", ("B-LOC", "I-LOC")),
        ("class", None),
    ],
)
def test_good_labels_stay_as_they_are(kind: str, labels: tuple[str, ...] | None) -> None:
    assert check_labelled(example(labels), kind) == example(labels)


@pytest.mark.parametrize(
    ("kind", "labels", "detail"),
    [
        ("class", (" ",), "expected one class"),
        ("class", ("a", "b"), "expected one class"),
        ("classes", ("a", "a"), "expected different classes"),
        ("number", ("high",), "expected a finite number"),
        ("number", ("nan",), "expected a finite number"),
        ("tags", ("O",), "expected 2 tags, one a word; got 1"),
        ("tags", ("O", "LOC"), "expected tags O, B-... and I-...; got str 'LOC'"),
        ("class", ("\ud800",), "a label holds half of a surrogate pair"),
    ],
)
def test_bad_labels_are_refused_with_a_reason(kind: str, labels: tuple[str, ...], detail: str) -> None:
    verdict = check_labelled(example(labels), kind)
    assert isinstance(verdict, Broken)
    assert verdict.detail.startswith(detail)


def test_labels_that_no_one_asked_for_are_dropped() -> None:
    assert check_labelled(example(("1",)), "none") == example(None)


def test_classes_are_sorted_numbers_by_their_value() -> None:
    assert classes([example(("10",)), example(("9",)), example(None)], "class") == ["9", "10"]
    assert classes([example(("b", "a")), example(("c",))], "classes") == ["a", "b", "c"]
    assert classes([example(("3.0",))], "number") is None


def test_words_are_parted_by_spaces() -> None:
    assert words("a  tag\u00a0ged text ") == [(0, 1), (3, 10), (11, 15)]


def test_a_table_without_labels_has_no_column_of_them(tmp_path: Path) -> None:
    rows = [Example("a", "q", "c")]
    write_rows(tmp_path / "without.arrow", Example, rows)
    labelled = [*rows, Example("b", "", "c", labels=()), Example("c", "", "c", labels=("x", "y"))]
    write_rows(tmp_path / "with.arrow", Example, labelled)
    assert b"labels" not in (tmp_path / "without.arrow").read_bytes()
    assert read_rows(tmp_path / "without.arrow", Example) == rows
    assert read_rows(tmp_path / "with.arrow", Example) == labelled


def test_prepare_names_the_classes_of_all_splits(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("text\tlabel\ngood\tb\nbad\ta\nno label\t\n\t a\n")
    (tmp_path / "dev.tsv").write_text("text\nfine\n")
    summary = prepare(
        tmp_path / "out",
        reader="pairs",
        language="en",
        folder=tmp_path,
        files={"train": "train.tsv", "dev": "dev.tsv"},
        options={"unlabelled": ""},
        labels="class",
    )
    assert summary["classes"] == ["a", "b"]
    assert summary["splits"]["train"] == {
        "rows_in": 4,
        "rows_out": 3,
        "rejects": 1,
        "repaired": 0,
        "duplicates": 0,
        "labelled": 2,
        "dropped_answers": 0,
    }
    assert json.loads((tmp_path / "out/rejects.jsonl").read_text())["reason"] == "empty_text"
    assert [row.labels for row in read_rows(tmp_path / "out/train.arrow", Example)] == [("b",), ("a",), None]
