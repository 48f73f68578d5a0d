"""A data set that is made out of another is one like any other: in params, to DVC, to what students need."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ParamsError
from pipeline.schema import Example
from pipeline.tables import read_rows
from stages import prepare
from stages.needed import needed_fields
from stages.params import parse
from stages.repro import stages_of


def _add_more(params: dict[str, Any]) -> None:
    """Rows made of `towns`, which the teacher reads and the student learns from beside those of `towns`."""
    params["augmentations"] = {
        "more": {"dataset": "towns", "splits": ["train"], "method": "mask", "times": 3, "max_rows": 50}
    }
    params["selection"]["more"] = copy.deepcopy(params["selection"]["towns"])
    params["targets"]["teacher_more"] = {**params["targets"]["teacher_towns"], "dataset": "more"}
    params["students"]["small"]["phases"][0]["sources"] += [
        {"dataset": "more", "split": "train", "targets": {"teacher": "teacher_more"}}
    ]


@pytest.fixture
def more(tiny: dict[str, Any]) -> dict[str, Any]:
    _add_more(tiny)
    return tiny


def test_dvc_makes_it_after_what_it_is_made_of(make_workspace: Callable[[Path], Any], tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    workspace.edited(_add_more)
    assert workspace.repro("augment@more") == ["prepare@towns", "augment@more"]
    made = read_rows(tmp_path / "data/examples/more/train.arrow", Example)
    assert len(made) == 50
    assert all("[MASK]" in row.context and not row.answers for row in made)

    def another_seed(params: dict[str, Any]) -> None:
        params["augmentations"]["more"]["seed"] = 2

    workspace.edited(another_seed)
    assert workspace.repro("augment@more") == ["augment@more"]
    assert read_rows(tmp_path / "data/examples/more/train.arrow", Example) != made


def test_it_is_as_what_it_is_made_of(more: dict[str, Any]) -> None:
    params = parse(more, Path("params.yaml"))
    made, towns = params.datasets["more"], params.datasets["towns"]
    assert (made.task, made.language) == (towns.task, towns.language)
    assert list(made.files) == ["train"]


def test_a_student_needs_what_it_is_made_of(more: dict[str, Any]) -> None:
    stages = list(stages_of(parse(more, Path("params.yaml")), "small"))
    assert stages[:5] == ["prepare@towns", "augment@more", "vocabulary@words", "select@more", "select@towns"]
    del more["students"]["small"]["phases"][0]["sources"][0]
    more["augmentations"]["more"]["labels"] = "keep"
    more["students"]["small"]["evaluate"] = []
    more["teachers"]["teacher"]["evaluate"] = ["more.train"]
    more["teachers"]["teacher"]["train"]["dataset"] = "more"
    more["tokenizers"]["words"]["text"] = ["more"]
    stages = list(stages_of(parse(more, Path("params.yaml")), "small"))
    assert stages[:4] == ["prepare@towns", "augment@more", "vocabulary@words", "select@more"]


def test_fields_of_a_head_follow_its_task(more: dict[str, Any]) -> None:
    more["datasets"]["towns"]["task"] = "relevance"
    student = more["students"]["small"]
    student["model"]["heads"] = {"one": {"datasets": ["more"]}}
    student["phases"][0]["terms"] = [{"loss": "kd_kl", "from": "teacher", "student": "one"}]
    assert set(needed_fields(more, ["small"])["teacher_more"]) == {"class_logits"}


def test_prepare_does_not_read_it(
    more: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "load", lambda path: parse(more, path))
    with pytest.raises(ParamsError, match="datasets: expected the name of an entry; got 'more'; known"):
        prepare.run("more", tmp_path / "params.yaml")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"dataset": "town"}, r"augmentations\.more: unknown data set 'town'; did you mean 'towns'"),
    ({"dataset": "more"}, r"augmentations\.more\.dataset: 'more' is made itself; name what it is made of"),
    ({"splits": ["test"]}, r"augmentations\.more: unknown split 'test' of towns"),
    ({"splits": []}, r"augmentations\.more\.splits: .*got \[\]"),
    ({"method": "tang"}, r"unknown augmenter 'tang'; did you mean 'tang2019'"),
    ({"method": "nowhere:at_all"}, r"augmentations\.more: augmenter 'nowhere:at_all': expected a module"),
    ({"options": {"p": 0.5}}, r"unknown option 'p' of augmenter 'mask'"),
    ({"options": {"probability": 1.5}}, r"more\.options\.probability: expected from 0 to 1; got 1\.5"),
    ({"sides": "first"}, r"more\.sides: a question that has answers stays as it is; leave it out"),
    ({"sides": "left"}, r"more\.sides: input should be 'first', 'second', 'both' or 'cycle'; got 'left'"),
    ({"time": 3}, r"more\.time: unknown key; did you mean 'times'"),
]


@pytest.mark.parametrize(("change", "message"), WRONG, ids=[str(change) for change, _ in WRONG])
def test_one_mistake(more: dict[str, Any], change: dict[str, Any], message: str) -> None:
    more["augmentations"]["more"] |= change
    with pytest.raises(ParamsError, match=message):
        parse(more, Path("params.yaml"))


GOLD_ALONE = [{"loss": "gold", "sources": ["more.train"]}, {"loss": "kd_kl", "from": "teacher"}]
BARE: list[tuple[str, str, Any, str]] = [
    ("teachers", "train", {"dataset": "more"}, r"teachers\.teacher\.train: rows of 'more' have no labels"),
    (
        "teachers",
        "evaluate",
        ["more.train"],
        r"teachers\.teacher\.evaluate: rows .*; write 'labels: keep' in",
    ),
    ("students", "evaluate", ["more.train"], r"students\.small\.evaluate: rows of 'more' have no labels"),
    ("students", "terms", GOLD_ALONE, r"students\.small\.phases\.0\.terms\.0: no source .* has labels"),
]


@pytest.mark.parametrize(("section", "key", "value", "message"), BARE, ids=[case[3][:22] for case in BARE])
def test_labels_that_are_not_there(
    more: dict[str, Any], section: str, key: str, value: Any, message: str
) -> None:
    (entry,) = more[section].values()
    place = entry["phases"][0] if key == "terms" else entry
    place[key] = {**place[key], **value} if isinstance(value, dict) else value
    with pytest.raises(ParamsError, match=message):
        parse(more, Path("params.yaml"))
    more["augmentations"]["more"]["labels"] = "keep"
    parse(more, Path("params.yaml"))


def test_a_name_is_one_data_set(more: dict[str, Any]) -> None:
    more["datasets"]["more"] = copy.deepcopy(more["datasets"]["towns"])
    with pytest.raises(ParamsError, match=r"augmentations\.more: an entry of datasets has this name too"):
        parse(more, Path("params.yaml"))
    del more["datasets"]["more"], more["selection"]["more"]
    with pytest.raises(ParamsError, match="selection: data set 'more' has no entry"):
        parse(more, Path("params.yaml"))
