import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.datasets.rows import UNPLACED, Broken
from pipeline.datasets.squad import read
from pipeline.errors import DataError
from pipeline.schema import Answer, Example


def rows(path: Path) -> list[Example | Broken]:
    return list(read(path.parent, {"train": path.name})["train"])


def test_versions_1_and_2(write_squad: Callable[..., Path]) -> None:
    path = write_squad(
        [
            {"id": "a", "question": "Where?", "answers": [{"text": "Seine", "answer_start": 18}]},
            {"id": "b", "question": "Who?", "answers": [], "is_impossible": True, "plausible_answers": []},
            {"id": "c", "question": "Why?", "answers": []},
            {"id": "d", "question": "Why not?"},
        ]
    )
    context = "Paris lies on the Seine."
    assert rows(path) == [
        Example("a", "Where?", context, (Answer("Seine", 18),)),
        Example("b", "Who?", context, is_impossible=True),
        Example("c", "Why?", context),
        Example("d", "Why not?", context),
    ]


def test_malformed_entries_are_rows_of_their_own(tmp_path: Path) -> None:
    good = {"id": "a", "question": "q", "answers": []}
    data = [
        "article",
        {
            "paragraphs": [
                "paragraph",
                {"context": "c"},
                {"context": "c", "qas": ["qa", good]},
                {"qas": [good]},
            ]
        },
    ]
    path = tmp_path / "data.json"
    path.write_text(json.dumps({"data": data}))
    assert rows(path) == [
        Broken(
            "", "malformed", "data[0]: expected an object with a list called paragraphs; got str 'article'"
        ),
        Broken(
            "",
            "malformed",
            "data[1].paragraphs[0]: expected an object with a list called qas; got str 'paragraph'",
        ),
        Broken(
            "",
            "malformed",
            "data[1].paragraphs[1]: expected an object with a list called qas; got dict {'context': 'c'}",
        ),
        Broken("", "malformed", "data[1].paragraphs[2].qas[0]: expected an object; got str 'qa'"),
        Example("a", "q", "c"),
        Broken("a", "malformed", "context: expected text; got nothing"),
    ]


def test_cmrc2018_layout_places_answers_at_their_first_occurrence(tmp_path: Path) -> None:
    qas = [
        {"query_id": "Q0", "query_text": "哪里？", "answers": ["京都", "东京"]},
        "qa",
    ]
    entries = [
        {"context_id": "0", "context_text": "日本京都，京都。", "qas": qas},
        {"context_text": "c", "qas": 1},
    ]
    path = tmp_path / "cmrc.json"
    path.write_text(json.dumps(entries), encoding="utf-8-sig")
    assert rows(path) == [
        Example("Q0", "哪里？", "日本京都，京都。", (Answer("京都", 2), Answer("东京", UNPLACED))),
        Broken("", "malformed", "[0].qas[1]: expected an object; got str 'qa'"),
        Broken(
            "",
            "malformed",
            "[1]: expected an object with a list called qas; got dict {'context_text': 'c', 'qas': 1}",
        ),
    ]


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("{", "malformed JSON"),
        ("{}", r"keys \[\]"),
        ('{"data": 3, "version": 1}', "keys .'data', 'version'."),
        ("[1]", "list"),
        ("7", "int 7"),
    ],
)
def test_a_malformed_file_is_an_error(tmp_path: Path, text: str, got: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"bad\.json: expected a SQuAD-format JSON file.*got {got}"):
        rows(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.json.*no such file; check the path"):
        rows(tmp_path / "gone.json")
