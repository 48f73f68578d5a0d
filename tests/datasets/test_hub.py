import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pytest

from pipeline.datasets import hub
from pipeline.datasets.prepare import sort_out
from pipeline.datasets.rows import Broken
from pipeline.errors import DataError, ParamsError
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


def test_an_empty_list_of_answers_can_mean_that_there_is_none(tmp_path: Path) -> None:
    datasets.Dataset.from_list(ROWS).save_to_disk(tmp_path / "saved")
    rows = hub.read(tmp_path / "saved", {}, empty_is_impossible=True)["train"]
    assert list(rows) == [EXAMPLES[0], replace(EXAMPLES[1], is_impossible=True)]


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
    with pytest.raises(DataError, match=r"no context among \['question', 'text'\]; rename.*`text`"):
        hub.read(tmp_path / "saved", {})


SENTIMENTS = datasets.Features(
    {
        "sentence": datasets.Value("string"),
        "label": datasets.ClassLabel(names=["bad", "good"]),
        "idx": datasets.Value("int32"),
    }
)


@pytest.mark.parametrize("kind", ["saved", "parquet"])
def test_classes_kept_as_numbers_get_their_names(tmp_path: Path, kind: str) -> None:
    rows = [{"sentence": "fine", "label": 1, "idx": 5}, {"sentence": "new ", "label": -1, "idx": 6}]
    held = datasets.Dataset.from_list(rows, features=SENTIMENTS)
    (tmp_path / kind).mkdir()
    if kind == "saved":
        held.save_to_disk(tmp_path / kind)
    else:
        held.to_parquet(tmp_path / kind / "train.parquet")
    found = hub.read(tmp_path / kind, {}, text="sentence", id="idx")["train"]
    assert list(found) == [Example("5", "", "fine", labels=("good",)), Example("6", "", "new")]


def test_a_class_that_is_not_known_is_none_of_several(tmp_path: Path) -> None:
    several = datasets.List(SENTIMENTS["label"])
    held = datasets.Dataset.from_list(
        [{"sentence": "fine", "label": [1, -1], "idx": 5}],
        features=datasets.Features({**SENTIMENTS, "label": several}),
    )
    held.save_to_disk(tmp_path / "saved")
    (found,) = hub.read(tmp_path / "saved", {}, text="sentence", id="idx")["train"]
    assert found == Example("5", "", "fine", labels=("good",))


def test_pairs_numbers_and_several_labels(tmp_path: Path) -> None:
    rows = [{"a": "one", "b": "two", "score": 2.5, "kinds": ["x", "y"]}]
    datasets.Dataset.from_list(rows).save_to_disk(tmp_path / "saved")
    pair = {"question": "a", "text": "b"}
    assert list(hub.read(tmp_path / "saved", {}, **pair, label="score")["train"]) == [
        Example("0", "one", "two", labels=("2.5",))
    ]
    assert list(hub.read(tmp_path / "saved", {}, **pair, label="kinds")["train"]) == [
        Example("0", "one", "two", labels=("x", "y"))
    ]
    assert list(hub.read(tmp_path / "saved", {}, **pair)["train"]) == [Example("0", "one", "two")]


def test_words_and_tags(tmp_path: Path) -> None:
    names = ["O", "B-PER", "I-PER", "S-LOC"]
    features = datasets.Features(
        {
            "tokens": datasets.List(datasets.Value("string")),
            "ner": datasets.List(datasets.ClassLabel(names=names)),
        }
    )
    datasets.Dataset.from_list([{"words": ["Ada"], "tag": 1}]).save_to_disk(tmp_path / "one")
    rows = [
        {"tokens": ["Ada", "B.", "left", "Rome"], "ner": [1, 2, 0, 3]},
        {"tokens": ["New York"], "ner": [0]},
        {"tokens": ["Ada"], "ner": [-1]},
        {"tokens": ["Ada"], "ner": [1, 0]},
        {"tokens": [], "ner": []},
    ]
    datasets.Dataset.from_list(rows, features=features).save_to_disk(tmp_path / "saved")
    (no_list,) = hub.read(tmp_path / "one", {}, words="words", tags="tag")["train"]
    assert isinstance(no_list, Broken)
    assert (no_list.reason, "a list of tags; got int 1" in no_list.detail) == ("wrong_label", True)
    columns = {"words": "tokens", "tags": "ner", "scheme": "bioes"}
    split = sort_out("train", hub.read(tmp_path / "saved", {}, **columns)["train"], labels="tags")
    assert split.examples == [Example("0", "", "Ada B. left Rome", labels=("B-PER", "I-PER", "O", "B-LOC"))]
    assert [(reject.id, reject.reason) for reject in split.rejects] == [
        ("1", "malformed"),
        ("2", "wrong_label"),
        ("3", "wrong_label"),
        ("4", "empty_text"),
    ]
    bare = hub.read(tmp_path / "saved", {}, words="tokens", tags=None)["train"]
    assert next(iter(bare)) == Example("0", "", "Ada B. left Rome")


def test_options_that_do_not_fit(tmp_path: Path) -> None:
    datasets.Dataset.from_list([{"words": ["a"]}]).save_to_disk(tmp_path / "saved")
    with pytest.raises(ParamsError, match="both 'text' and 'words'"):
        hub.read(tmp_path / "saved", {}, text="a", words="b")
    with pytest.raises(ParamsError, match=r"option 'scheme' of reader 'hub'.*did you mean 'iob2'"):
        hub.read(tmp_path / "saved", {}, words="words", scheme="iob")
    with pytest.raises(DataError, match="a column called 'word'; got 'words'; did you mean 'words'"):
        list(hub.read(tmp_path / "saved", {}, words="word")["train"])


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
