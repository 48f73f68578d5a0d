"""A split made of several files."""

import json
from pathlib import Path

from pipeline.datasets.prepare import prepare
from pipeline.schema import Example
from pipeline.tables import read_rows


def _squad(path: Path, *names: str) -> None:
    rows = [
        {
            "context": f"{name} is here.",
            "qas": [
                {"id": name, "question": "Who?", "answers": [{"text": name, "answer_start": 0}]},
            ],
        }
        for name in names
    ]
    path.write_text(json.dumps({"data": [{"paragraphs": rows}]}))


def test_rows_of_several_files_follow_each_other(tmp_path: Path) -> None:
    _squad(tmp_path / "a.json", "Ada", "Bob")
    _squad(tmp_path / "b.json", "Cid")
    _squad(tmp_path / "c.json", "Dan")
    files = {"train": ["a.json", "b.json"], "dev": "c.json"}
    summary = prepare(tmp_path / "out", reader="squad", language="en", folder=tmp_path, files=files)
    assert [row.id for row in read_rows(tmp_path / "out/train.arrow", Example)] == ["Ada", "Bob", "Cid"]
    assert summary["splits"]["train"]["rows_in"] == 3
    assert summary["splits"]["dev"]["rows_in"] == 1
