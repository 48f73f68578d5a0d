import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.datasets.prepare import sort_out
from pipeline.datasets.reqa import read
from pipeline.datasets.rows import Broken
from pipeline.errors import DataError
from pipeline.schema import Example

LISTS: dict[str, list[Any]] = {
    "questions": ["who?", "where?", "when?", "why?"],
    "answers": ["Ada. ", "Rome.", "In May.", "Rome."],
    "question_ids": [30, 4, 20, 100],
}


def _read(tmp_path: Path, lists: Any, **options: Any) -> list[Example | Broken]:
    (tmp_path / "train.json").write_text(json.dumps(lists))
    return list(read(tmp_path, {"train": "train.json"}, **options)["train"])


def test_questions_with_their_answers(tmp_path: Path) -> None:
    rows = _read(tmp_path, LISTS)
    assert rows[0] == Example("30", "who?", "Ada.")
    assert [(row.id, row.labels) for row in rows] == [("30", None), ("4", None), ("20", None), ("100", None)]


def test_sentences_of_the_questions_numbered_next(tmp_path: Path) -> None:
    rows = _read(tmp_path, LISTS, others=2)
    # By number: 4 Rome, 20 in May, 30 Ada, 100 Rome; after the last one the first.
    assert [(row.id, row.context) for row in rows if isinstance(row, Example)] == [
        ("30", "Ada."),
        ("30-1", "Rome."),
        ("30-2", "Rome."),
        ("4", "Rome."),
        ("4-1", "In May."),
        ("4-2", "Ada."),
        ("20", "In May."),
        ("20-1", "Ada."),
        ("20-2", "Rome."),
        ("100", "Rome."),
        ("100-1", "In May."),
        ("100-2", "Ada."),
    ]


def test_few_questions_have_few_others(tmp_path: Path) -> None:
    rows = _read(tmp_path, LISTS, others=5, max_questions=2)
    assert [row.id for row in rows] == ["30", "30-1", "4", "4-1"]


def test_what_is_no_text_is_set_aside(tmp_path: Path) -> None:
    lists = {
        "questions": ["who?", "where?", "when?", " ", "why?"],
        "answers": ["Ada.", 7, " ", "Oslo.", "Rome."],
        "question_ids": ["a", None, 20, 5, 3],
    }
    split = sort_out("train", _read(tmp_path, lists, others=1), labels="class")
    assert [(reject.id, reject.reason) for reject in split.rejects] == [
        ("None", "malformed"),
        ("20", "empty_text"),
        ("5", "empty_text"),
    ]
    assert [row.id for row in split.examples] == ["a", "a-1", "20-1", "3", "3-1"]


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ([1], "expected an object with lists of one length: questions, answers, question_ids; got list"),
        ({**LISTS, "answers": ["Ada."]}, "lists of one length"),
        ({"questions": [], "answers": []}, "lists of one length"),
    ],
)
def test_another_layout(tmp_path: Path, lists: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        _read(tmp_path, lists)


def test_no_json(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text("{")
    with pytest.raises(DataError, match="expected JSON"):
        read(tmp_path, {"train": "train.json"})
