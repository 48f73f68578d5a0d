"""Which stages one student needs."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.errors import ParamsError
from stages.params import parse
from stages.repro import repro, stages_of


def test_a_student_needs_its_own_sets_and_teachers_only(tiny: dict[str, Any]) -> None:
    tiny["teachers"]["other"] = copy.deepcopy(tiny["teachers"]["teacher"])
    tiny["targets"]["other_towns"] = {**tiny["targets"]["teacher_towns"], "teacher": "other"}
    tiny["students"]["another"] = copy.deepcopy(tiny["students"]["small"])
    assert list(stages_of(parse(tiny, Path("params.yaml")), "small")) == [
        "prepare@towns",
        "vocabulary@words",
        "select@towns",
        "finetune_teacher@teacher",
        "cache_targets@teacher_towns",
        "bind_teacher@teacher",
        "evaluate_teacher@teacher",
        "bind@small",
        "train_student@small",
        "evaluate@small",
    ]


def test_a_student_of_several_teachers_needs_them_all(tiny: dict[str, Any]) -> None:
    for name in ("second", "third"):
        tiny["teachers"][name] = copy.deepcopy(tiny["teachers"]["teacher"])
        tiny["targets"][f"{name}_towns"] = {**tiny["targets"]["teacher_towns"], "teacher": name}
    merge = {"mean_logits": ["second_towns", "third_towns"], "dataset": "towns", "splits": ["train"]}
    tiny["merges"] = {name: {**merge, "fields": {"span_logits": {}}} for name in ("both", "unused")}
    source = tiny["students"]["small"]["phases"][0]["sources"][0]
    source["targets"]["teacher"] = {"mean_probabilities": ["both", "teacher_towns"]}
    stages = list(stages_of(parse(tiny, Path("params.yaml")), "small"))
    wanted = [f"cache_targets@{name}_towns" for name in ("second", "teacher", "third")]
    assert [stage for stage in stages if "_towns" in stage or "merge" in stage] == [*wanted, "merge@both"]
    assert stages.index("merge@both") < stages.index("bind@small")
    assert {"finetune_teacher@second", "finetune_teacher@third"} <= set(stages)


def test_a_gold_only_student_needs_no_teacher(tiny: dict[str, Any]) -> None:
    phase = tiny["students"]["small"]["phases"][0]
    phase["terms"] = phase["terms"][:1]
    del phase["sources"][0]["targets"]
    stages = list(stages_of(parse(tiny, Path("params.yaml")), "small"))
    assert not [stage for stage in stages if "teacher" in stage]


def test_one_that_starts_from_a_teachers_layers_needs_that_teacher(tiny: dict[str, Any]) -> None:
    tiny["teachers"]["other"] = copy.deepcopy(tiny["teachers"]["teacher"])
    student = tiny["students"]["small"]
    student["phases"][0]["terms"] = student["phases"][0]["terms"][:1]
    del student["phases"][0]["sources"][0]["targets"]
    student["model"]["init_from"] = "data/teachers/other"
    stages = list(stages_of(parse(tiny, Path("params.yaml")), "small"))
    assert "finetune_teacher@other" in stages
    assert "finetune_teacher@teacher" not in stages
    assert stages.index("finetune_teacher@other") < stages.index("bind@small")


def _watched(student: dict[str, Any]) -> None:
    student["phases"][0]["training"]["eval_set"] = "other.dev"


def _with_a_head(student: dict[str, Any]) -> None:
    student["model"]["heads"] = {"where": {"datasets": ["towns", "other"]}}
    student["phases"][0]["terms"] = [{"loss": "gold", "student": "where"}]


@pytest.mark.parametrize("change", [_watched, _with_a_head])
def test_a_student_needs_the_data_of_its_eval_set_and_of_its_heads(
    change: Callable[[dict[str, Any]], None], tiny: dict[str, Any]
) -> None:
    for name in ("other", "unused"):
        tiny["datasets"][name] = copy.deepcopy(tiny["datasets"]["towns"])
        tiny["selection"][name] = copy.deepcopy(tiny["selection"]["towns"])
    change(tiny["students"]["small"])
    stages = list(stages_of(parse(tiny, Path("params.yaml")), "small"))
    for stage in ("prepare", "select"):
        read = [name for name in stages if name.startswith(f"{stage}@")]
        assert read == [f"{stage}@other", f"{stage}@towns"]


def test_an_ensemble_needs_its_members(tiny: dict[str, Any]) -> None:
    tiny["students"]["another"] = copy.deepcopy(tiny["students"]["small"])
    members = {"mean_probabilities": ["small", "teacher"], "evaluate": ["towns.dev"]}
    tiny["ensembles"] = {"both": members, "unused": members}
    assert list(stages_of(parse(tiny, Path("params.yaml")), "both")) == [
        "prepare@towns",
        "vocabulary@words",
        "select@towns",
        "finetune_teacher@teacher",
        "cache_targets@teacher_towns",
        "bind_teacher@teacher",
        "evaluate_teacher@teacher",
        "bind@small",
        "train_student@small",
        "evaluate@small",
        "evaluate_ensemble@both",
    ]


def test_a_student_that_starts_from_another_needs_that_one_first(tiny: dict[str, Any]) -> None:
    for name in ("middle", "last"):
        tiny["students"][name] = copy.deepcopy(tiny["students"]["small"])
    tiny["warm_starts"] = {"last": {"student": "middle"}, "middle": {"student": "small"}}
    stages = list(stages_of(parse(tiny, Path("params.yaml")), "last"))
    order = ["train_student@small", "warm_start@middle", "train_student@middle", "warm_start@last"]
    assert [stage for stage in dict.fromkeys(stages) if stage in order] == order
    assert stages.index("warm_start@last") < stages.index("train_student@last")


def test_an_unknown_student_is_named(tiny: dict[str, Any]) -> None:
    with pytest.raises(ParamsError, match="got 'smallish'; did you mean 'small'"):
        list(stages_of(parse(tiny, Path("params.yaml")), "smallish"))


def test_what_params_have_no_more_is_neither_read_nor_shown(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    asked: list[list[str]] = []
    monkeypatch.setattr("stages.repro._dvc", asked.append)
    tiny["students"]["kept"] = copy.deepcopy(tiny["students"]["small"])
    tiny["warm_starts"] = {"kept": {"student": "small"}}
    Path("params.yaml").write_text(yaml.safe_dump(tiny))
    for name in ("small", "kept"):
        Path(f"data/inputs/{name}/train/start").mkdir(parents=True)
        Path(f"data/inputs/{name}/train/rows").mkdir()
    Path("reports").mkdir()
    Path("reports/summary.md").write_text("the table")
    Path("reports/summary.json").write_text(json.dumps({"ensembles": {"gone": {}}}))
    repro([])
    assert asked == [["repro"], ["repro", "--force", "--single-item", "report"]]
    assert {str(path) for path in Path("data/inputs").glob("*/train/*")} == {
        "data/inputs/small/train/rows",
        "data/inputs/kept/train/rows",
        "data/inputs/kept/train/start",
    }
    assert capsys.readouterr().out == "the table\n"
