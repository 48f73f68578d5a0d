"""The whole chain with the real DVC on 20 rows: what runs, and above all what does not run again.

One workspace serves all tests, in the order written: each starts from what the one before has left.
"""

import copy
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.numpy import load_file

CHAIN = [
    "prepare@towns",
    "vocabulary@words",
    "select@towns",
    "finetune_teacher@teacher",
    "cache_targets@teacher_towns",
    "bind@small",
    "bind_teacher@teacher",
    "train_student@small",
    "evaluate@small",
    "evaluate_teacher@teacher",
    "report",
]


def _match(params: dict[str, Any]) -> None:
    """The student follows its teacher's layers too."""
    projection = {"kind": "linear", "in": 16, "out": 16, "learning_rate": 0.01}
    params["targets"]["teacher_towns"]["fields"]["hidden_states"] = {"layers": [1, 2]}
    params["students"]["small"]["phases"][0]["terms"] += [
        {"loss": "hidden_mse", "from": "teacher", "teacher_layer": 1, "student_layer": 1}
        | {"projection": projection},
        {"loss": "nst", "from": "teacher", "teacher_layer": [2, 2], "student_layer": [2, 2]},
    ]


@pytest.fixture(scope="module")
def workspace(make_workspace: Callable[[Path], Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = make_workspace(tmp_path_factory.mktemp("reuse"))
    made.edited(_match)
    made.ran = made.repro()
    return made


def _add_qanet(params: dict[str, Any]) -> None:
    student = copy.deepcopy(params["students"]["small"])
    del student["phases"][0]["terms"][2:]  # it has no layers to be read
    student["model"] = {"architecture": "qanet", "max_length": 64, "d_model": 16, "num_heads": 2}
    student["model"] |= {"trainable_words": True, "word_size": 8}
    student["model"] |= {"num_blocks": 1, "num_passes": 1, "character_size": 8, "character_filters": 8}
    student["tokenizer"] = "cased"
    params["tokenizers"]["cased"] = {"kind": "words", "text": ["towns"], "min_frequency": 2}
    params["students"]["qanet"] = student


@pytest.mark.timeout(600)
def test_everything_runs_once_and_then_nothing(workspace: Any) -> None:
    assert sorted(workspace.ran) == sorted(CHAIN)
    assert workspace.repro() == []
    summary = json.loads((workspace.root / "reports/summary.json").read_text())
    assert set(summary["students"]) == {"small"}
    assert not list(workspace.root.rglob("training_args.bin"))
    last = json.loads((workspace.root / "data/students/small/summary.json").read_text())["phases"][0]["last"]
    assert last["hidden_mse"] > 0
    assert last["nst"] > 0
    weights = load_file(workspace.root / "data/students/small/model.safetensors")
    assert not [name for name in weights if "projection" in name]
    assert_speeds(workspace, summary)


SPEEDS = """
from typer.testing import CliRunner
from stages.app import app
for words in ("--rounds 2", "--json small", "smaller"):
    done = CliRunner().invoke(app, ["speed", *words.split()])
    print(done.output if done.exit_code else done.stdout, end="\\0")
"""


def assert_speeds(workspace: Any, summary: Any) -> None:
    table, printed, refused, _ = workspace.run_code(SPEEDS).split("\0")
    assert [line.split()[1] for line in table.splitlines() if line.startswith("| ")] == [
        "reader",
        *summary["teachers"],
        "small",
    ]
    measured = json.loads(printed)
    assert set(measured) == {"small"}
    assert measured["small"]["size"] == summary["students"]["small"]["size"]
    assert measured["small"]["speed"]["rows_per_second"] > 0
    assert "expected the name of a student or teacher; got 'smaller'; did you mean 'small'" in refused


@pytest.mark.timeout(600)
def test_what_a_change_runs_again(workspace: Any) -> None:
    workspace.edited(_add_qanet)
    own = ["vocabulary@cased", "bind@qanet", "train_student@qanet", "evaluate@qanet", "report"]
    # finetune_teacher sees the folder of all tokenizers; its key says that there is nothing to do.
    assert sorted(set(workspace.repro()) - {"finetune_teacher@teacher"}) == sorted(own)

    def weight(params: dict[str, Any]) -> None:
        params["students"]["qanet"]["phases"][0]["terms"][1]["weight"] = 0.5

    workspace.edited(weight)
    assert sorted(workspace.repro()) == sorted(set(own) - {"vocabulary@cased"})

    def evaluation_set(params: dict[str, Any]) -> None:
        params["students"]["qanet"]["evaluate"].append("towns.train")

    workspace.edited(evaluation_set)
    assert workspace.repro() == ["bind@qanet", "evaluate@qanet", "report"]

    def teacher_and_field(params: dict[str, Any]) -> None:
        params["teachers"]["other"] = copy.deepcopy(params["teachers"]["teacher"])
        params["teachers"]["other"]["train"]["seed"] = 2
        params["targets"]["other_towns"] = {**params["targets"]["teacher_towns"], "teacher": "other"}
        params["targets"]["teacher_towns"]["fields"]["top_spans"] = {"k": 2}

    shard = next((workspace.root / "data/targets/teacher_towns").glob("**/span_logits/*"))
    written = shard.stat()
    workspace.edited(teacher_and_field)
    ran = workspace.repro()
    assert "cache_targets@teacher_towns" in ran
    assert "cache_targets@other_towns" in ran
    assert not [stage for stage in ran if stage.startswith(("train_student", "evaluate@"))]
    assert (shard.stat().st_ino, shard.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)


def _add_mixed(params: dict[str, Any]) -> None:
    """A student of two teachers: their sets averaged where they are read, merged, and followed each.

    In a phase of two sources first, then of one.
    """
    sets = ["teacher_towns", "other_towns"]
    fields = {"span_logits": {"dtype": "float32"}}
    merged = {"mean_probabilities": sets, "dataset": "towns", "splits": ["train"], "fields": fields}
    params["merges"] = {"both_towns": merged}
    student = copy.deepcopy(params["students"]["small"])
    mix = {"mean_logits": sets, "weights": [2, 1]}
    student["phases"][0]["sources"][0]["targets"] = {"mix": mix, "merged": "both_towns"}
    student["phases"][0]["terms"] = [{"loss": "kd_kl", "from": ["mix", "merged"]}]
    first = copy.deepcopy(student["phases"][0])
    first["sources"] += [{"dataset": "towns", "split": "dev"}]
    first["terms"] = [{**first["terms"][0], "sources": ["towns.train"]}, {"loss": "gold"}]
    student["phases"].insert(0, {**first, "mixing": {"tau": 0.5}, "name": "first"})
    params["students"]["mixed"] = student


COMMANDS = """
from typer.testing import CliRunner
from stages.app import app
for words in ("cache plan", "cache merge", "cache_targets", "cache repair", "cache verify"):
    done = CliRunner().invoke(app, [*words.split(), "both_towns"])
    assert done.exit_code == 0, (words, done.output)
    print(words, done.output)
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_student_of_several_teachers(workspace: Any) -> None:
    workspace.edited(_add_mixed)
    assert workspace.repro("train_student@mixed") == ["merge@both_towns", "bind@mixed", "train_student@mixed"]
    summary = json.loads((workspace.root / "data/students/mixed/summary.json").read_text())
    rows = [[source["rows"] for source in phase["sources"]] for phase in summary["phases"]]
    assert rows == [[20, 6], [20]]
    shard = next((workspace.root / "data/targets/both_towns").glob("**/span_logits/*"))

    said = workspace.run_code(COMMANDS)
    assert "shards: 1 there, 0 to compute" in said
    assert said.count("both_towns: rows 20, unique_inputs 20, bytes") == 3
    assert "every byte is as written" in said

    def another_field_of_a_member(params: dict[str, Any]) -> None:
        # The two sets share the value of `fields`.
        fields = params["targets"]["other_towns"]["fields"]
        params["targets"]["other_towns"]["fields"] = {**fields, "qa_attention": {"layer": -1}}

    workspace.edited(another_field_of_a_member)
    ran = workspace.repro("train_student@mixed")
    assert ran == ["cache_targets@other_towns", "merge@both_towns", "bind@mixed"]
    assert list((workspace.root / "data/targets/both_towns").glob("**/span_logits/*")) == [shard]


def _add_started(params: dict[str, Any]) -> None:
    """A student that goes on where another one ended."""
    params["students"]["started"] = copy.deepcopy(params["students"]["small"])
    params["students"]["started"]["phases"][0]["terms"] = [{"loss": "gold"}]
    params["warm_starts"] = {"started": {"student": "small"}}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_student_that_starts_from_another(workspace: Any) -> None:
    workspace.edited(_add_started)
    own = ["warm_start@started", "train_student@started"]
    # A field that another student asked for may have been added since `small` was bound.
    assert {*workspace.repro("train_student@started")} - {"bind@small"} == {"bind@started", *own}
    summary = json.loads((workspace.root / "data/students/started/summary.json").read_text())
    assert summary["started_afresh"] == []

    def seed(params: dict[str, Any]) -> None:
        params["students"]["small"]["phases"][0]["training"]["seed"] = 2

    workspace.edited(seed)
    assert workspace.repro("train_student@started") == ["bind@small", "train_student@small", *own]

    def evaluation_set(params: dict[str, Any]) -> None:
        params["students"]["started"]["evaluate"].append("towns.train")

    workspace.edited(evaluation_set)
    assert workspace.repro("train_student@started") == ["bind@started"]
    # DVC leaves the start of a student that has none any more.
    workspace.edited(lambda params: params.pop("warm_starts"))
    ran = [line for line in workspace.run("stages.app", "repro", "started").splitlines() if "Running" in line]
    assert next(line.split("'")[1] for line in ran) == "train_student@started"
    summary = json.loads((workspace.root / "data/students/started/summary.json").read_text())
    assert "started_afresh" not in summary
    workspace.edited(lambda params: params["students"].pop("started"))


EXTENDING = Path(__file__).parents[2] / "docs/extending.md"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_code_of_ones_own_as_the_documentation_has_it(workspace: Any) -> None:
    text = EXTENDING.read_text(encoding="utf-8")
    sources = re.findall(r"`(extensions/\S+\.py)`:\n\n```python\n(.*?)```", text, re.DOTALL)
    assert len(sources) == 2
    for path, source in sources:
        (workspace.root / path).write_text(source, encoding="utf-8")
    (entry,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    for demo, here in (("demo_targets", "teacher_towns"), ("demo_words", "words"), ("demo", "towns")):
        entry = entry.replace(demo, here)
    student = yaml.safe_load(entry)
    watched = {"eval_set": "towns.dev", "metric_for_best_model": "f1", "load_best_model_at_end": True}
    student["convolutions"]["phases"][0]["training"] |= {**watched, "early_stopping_patience": 2}
    workspace.edited(lambda params: params["students"].update(student))
    students = ["small", "convolutions"]
    ran = workspace.repro("train_student@small", "evaluate@convolutions")
    assert {"train_student@convolutions", "evaluate@convolutions"} <= {*ran}
    assert "train_student@small" not in ran
    lines = (workspace.root / "data/students/convolutions/training_log.jsonl").read_text().splitlines()
    log = [json.loads(line) for line in lines]
    assert all(entry["reverse_kl"] > 0 for entry in log if "loss" in entry)
    scores = json.loads((workspace.root / "data/scores/convolutions/metrics.json").read_text())
    found = {entry["step"]: entry["eval_f1"] for entry in log if "eval_f1" in entry}
    assert scores["sets"]["towns.dev"]["f1"] == found[log[-1]["best_step"]] == max(found.values())

    loss = workspace.root / "extensions/reverse.py"
    loss.write_text(loss.read_text().replace("losses * mass", "losses * mass * 2"))
    ran = workspace.repro(*(f"train_student@{name}" for name in students))
    assert set(ran) >= {"bind@small", "bind@convolutions"}
    assert [stage for stage in ran if stage.startswith("train_student")] == ["train_student@convolutions"]
    workspace.edited(lambda params: params["students"].pop("convolutions"))


@pytest.mark.timeout(600)
def test_students_train_without_their_teachers(workspace: Any) -> None:
    shutil.rmtree(workspace.root / "data/teachers")
    shutil.rmtree(workspace.root / "data/students/small")
    assert workspace.repro("-s", "-f", "train_student@small") == ["train_student@small"]
    shutil.rmtree(workspace.root / "data/students/small")
    workspace.run("stages.app", "train_student", "small")
    assert (workspace.root / "data/students/small/model.safetensors").is_file()


WATCHED = """
import sys
from pathlib import Path
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
from stages.train_student import run
run("small", Path("params.yaml"))
assert not [name for name in sys.modules if name.startswith("pipeline.inference")]
assert not [path for path in opened if "data/teachers" in path], opened
"""


@pytest.mark.timeout(600)
def test_a_students_process_knows_no_teacher(workspace: Any) -> None:
    workspace.run_code(WATCHED)
