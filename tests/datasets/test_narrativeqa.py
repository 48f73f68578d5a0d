"""Files in the layout of the public repository, made here: the data set is not at hand."""

import csv
from pathlib import Path

import pytest

from pipeline.datasets.narrativeqa import read
from pipeline.datasets.prepare import prepare
from pipeline.datasets.rows import Broken
from pipeline.errors import DataError
from pipeline.schema import Answer, Example, Passage
from pipeline.selection.select import select
from pipeline.tables import read_rows
from pipeline.text.build import build_tokenizer

QAPS = ["document_id", "set", "question", "answer1", "answer2"]
QAPS += ["question_tokenized", "answer1_tokenized", "answer2_tokenized"]
SUMMARIES = ["document_id", "set", "summary", "summary_tokenized"]

TEXT = ' \nMark, a shy boy, runs "Hard Harry",\n a pirate radio station in Phoenix. He isn\'t caught.\n'
ROWS = [
    ("d1", "train", "Who is Mark? ", "He's a boy, who is shy.", "A shy boy"),
    ("d1", "train", "Where does he live?", "In Phoenix.", "Phoenix"),
    ("d1", "train", "Why?", "Nobody knows", "unclear"),
    ("d2", "valid", "What, then?", "a dog", ""),
    ("d3", "valid", "No summary?", "a", "b"),
    ("d2", "test", "And?", " ", ""),
]


def _write(path: Path, header: list[str], rows: list[tuple[str, ...]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows([*row, *("-" * (len(header) - len(row)))] for row in rows)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    _write(tmp_path / "qaps.csv", QAPS, ROWS)
    # A line that Unicode knows and CSV does not parts no row.
    summaries = [("d1", "train", TEXT), ("d2", "valid", "A dog\u2028barks.")]
    _write(tmp_path / "third_party/wikipedia/summaries.csv", SUMMARIES, summaries)
    return tmp_path


def test_spans_and_gold_texts(repository: Path) -> None:
    rows = {
        split: list(found) for split, found in read(repository, {"train": "train", "dev": "valid"}).items()
    }
    first, second, third = rows["train"]
    context = TEXT.strip()
    assert isinstance(first, Example)
    assert first.context == context
    assert (first.id, first.question) == ("d1-0", "Who is Mark?")
    assert first.answers == (Answer("a shy boy", context.index("a shy")),)
    assert first.gold_texts == ("He's a boy, who is shy.", "A shy boy")
    assert isinstance(second, Example)
    assert second.answers == (Answer("Phoenix", context.index("Phoenix")),)
    assert third == Example("d1-2", "Why?", context, gold_texts=("Nobody knows", "unclear"))
    assert rows["dev"][0] == Example(
        "d2-0", "What, then?", "A dog\u2028barks.", (Answer("A dog", 0),), gold_texts=("a dog",)
    )
    assert rows["dev"][1] == Broken("d3-0", "no_summary", "document str 'd3' has no summary")


def test_a_long_summary_is_cut_after_so_many_words(repository: Path) -> None:
    (first, second, _) = read(repository, {"train": "train"}, max_words=5)["train"]
    assert isinstance(first, Example)
    assert first.context == "Mark, a shy boy, runs"
    assert isinstance(second, Example)
    assert second.answers == ()
    (short, *_) = read(repository, {"train": "train"}, max_answer_words=2)["train"]
    assert isinstance(short, Example)
    assert [answer.text for answer in short.answers] == ["a shy"]


def test_rows_in_are_rows_out(repository: Path, tmp_path: Path) -> None:
    summary = prepare(tmp_path / "out", reader="narrativeqa", language="en", folder=repository)
    assert {split: counts["rows_in"] for split, counts in summary["splits"].items()} == {
        "train": 3, "valid": 2, "test": 1,
    }  # fmt: skip
    assert {split: counts["labelled"] for split, counts in summary["splits"].items()} == {
        "train": 3, "valid": 1, "test": 0,
    }  # fmt: skip
    assert summary["reasons"]["valid"] == {"no_summary": 1}
    words = tmp_path / "words"
    build_tokenizer([TEXT], words, kind="words")
    report = select(
        tmp_path / "out", tmp_path / "passages", language="en", method="none", tokenizer=words, max_tokens=60
    )
    assert report["splits"]["train"]["answers"]["all"] == {"rows": 3, "kept": 2, "share": 0.666667}
    passages = read_rows(tmp_path / "passages/train.arrow", Passage)
    assert passages[0].gold_texts == ("He's a boy, who is shy.", "A shy boy")
    assert [answer.text for answer in passages[0].answers] == ["a shy boy"]
    assert passages[2].answers == ()


def test_rows_that_are_broken_are_counted(repository: Path) -> None:
    for name in ("qaps.csv", "third_party/wikipedia/summaries.csv"):
        with (repository / name).open("a", encoding="utf-8") as file:
            file.write("d9,valid\n")
    rows = {split: list(found) for split, found in read(repository, {}).items()}
    broken = [row for row in rows["train"] if isinstance(row, Broken)]
    assert [row.reason for row in broken] == ["malformed", "malformed"]
    assert broken[0].detail.startswith("summaries.csv: expected ")
    assert broken[1].detail.startswith("expected ")
    assert len(rows["train"]) == 3 + 2


def test_other_files_and_columns_are_refused(repository: Path) -> None:
    with pytest.raises(DataError, match=r"x\.csv: expected a file"):
        read(repository, {}, questions="x.csv")
    _write(repository / "qaps.csv", ["document_id", "set", "questions"], [("d1", "train", "?")])
    with pytest.raises(DataError, match=r"a column called 'question'.*did you mean 'questions'"):
        read(repository, {})
