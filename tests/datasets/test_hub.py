import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest

from pipeline.datasets import hub
from pipeline.datasets.rows import Broken
from pipeline.errors import DataError
from pipeline.schema import Answer, Example

ROWS = [
    {
        "id": "a",
        "question": "Where?",
        "context": "By the Seine.",
        "answers": {"text": ["Seine"], "answer_start": [7]},
    },
    {"id": "b", "question": "Why?", "context": "By the Seine.", "answers": {"text": [], "answer_start": []}},
]
EXAMPLES = [
    Example("a", "Where?", "By the Seine.", (Answer("Seine", 7),)),
    Example("b", "Why?", "By the Seine."),
]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


def write_json_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_saved_data_set_of_one_split(tmp_path: Path) -> None:
    datasets.Dataset.from_list(ROWS).save_to_disk(tmp_path / "saved")
    rows = hub.read(tmp_path / "saved", {})
    assert {split: list(examples) for split, examples in rows.items()} == {"train": EXAMPLES}


def test_a_saved_data_set_of_several_splits(tmp_path: Path) -> None:
    splits = {"train": datasets.Dataset.from_list(ROWS), "validation": datasets.Dataset.from_list(ROWS[:1])}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "saved")
    rows = hub.read(tmp_path / "saved", {"dev": "validation"})
    assert {split: list(examples) for split, examples in rows.items()} == {"dev": EXAMPLES[:1]}


def test_a_folder_of_json_lines(tmp_path: Path) -> None:
    write_json_lines(tmp_path / "folder" / "train.jsonl", ROWS)
    write_json_lines(tmp_path / "folder" / "test.jsonl", ROWS[:1])
    rows = hub.read(tmp_path / "folder", {})
    assert {split: list(examples) for split, examples in rows.items()} == {
        "train": EXAMPLES,
        "test": EXAMPLES[:1],
    }


def test_a_folder_of_parquet(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    datasets.Dataset.from_list(ROWS).to_parquet(tmp_path / "folder" / "train.parquet")
    assert list(hub.read(tmp_path / "folder", {"train": "train"})["train"]) == EXAMPLES


def test_answers_as_a_list_and_rows_without_id_or_answers(tmp_path: Path) -> None:
    rows = [{"question": "q", "context": "c", "answers": [{"text": "c", "answer_start": 0}]}]
    datasets.Dataset.from_list(rows).save_to_disk(tmp_path / "listed")
    datasets.Dataset.from_list([{"question": "q", "context": "c"}]).save_to_disk(tmp_path / "bare")
    assert list(hub.read(tmp_path / "listed", {})["train"]) == [Example("0", "q", "c", (Answer("c", 0),))]
    assert list(hub.read(tmp_path / "bare", {})["train"]) == [Example("0", "q", "c")]


def test_unequal_texts_and_starts_are_a_broken_row(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "question": "q", "context": "c", "answers": {"text": ["c", "d"], "answer_start": [0]}}
    ]
    datasets.Dataset.from_list(rows).save_to_disk(tmp_path / "saved")
    (row,) = hub.read(tmp_path / "saved", {})["train"]
    assert isinstance(row, Broken)
    assert row.reason == "malformed"
    assert row.detail.startswith("answers: expected as many texts as starts; got dict")


def test_a_missing_column_is_an_error(tmp_path: Path) -> None:
    datasets.Dataset.from_list([{"question": "q", "text": "c"}]).save_to_disk(tmp_path / "saved")
    with pytest.raises(DataError, match=r"no context among \['question', 'text'\]; rename"):
        hub.read(tmp_path / "saved", {})


def test_an_unknown_split_is_an_error(tmp_path: Path) -> None:
    datasets.Dataset.from_list(ROWS).save_to_disk(tmp_path / "saved")
    with pytest.raises(DataError, match=r"got 'traim'; did you mean 'train'"):
        hub.read(tmp_path / "saved", {"train": "traim"})


def test_folders_that_hold_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder; check the path"):
        hub.read(tmp_path / "gone", {})
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: expected a data set saved with save_to_disk"):
        hub.read(tmp_path / "empty", {})


def test_an_unreachable_hub_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"data set 'squad'.*could not be reached.*save_to_disk and name its folder"
    ):
        hub.read(tmp_path, {}, name="squad")
