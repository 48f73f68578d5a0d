"""The command line: what a newcomer meets, and what wrong input gets."""

import inspect
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from stages.app import app

STAGES = [
    "prepare",
    "augment",
    "vocabulary",
    "select",
    "finetune_teacher",
    "cache_targets",
    "bind",
    "train_student",
    "evaluate",
    "report",
]


@pytest.fixture(scope="module")
def workspace(make_workspace: Callable[[Path], Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = make_workspace(tmp_path_factory.mktemp("app"))
    for command in (("prepare", "towns"), ("vocabulary", "words"), ("select", "towns")):
        made.run("stages.app", *command)
    return made


def _help(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "stages.app", *command, "--help"], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_help_names_every_stage_and_command() -> None:
    text = _help()
    assert all(name in text for name in [*STAGES, "repro", "demo", "predict", "size", "cache", "times"])
    assert all(name in _help("cache") for name in ("plan", "describe", "verify", "repair", "gc"))


def _commands(app: typer.Typer) -> Iterator[typer.models.CommandInfo]:
    yield from app.registered_commands
    for group in app.registered_groups:
        yield from _commands(group.typer_instance)


def test_every_command_shows_tracebacks_if_asked() -> None:
    assert all("debug" in inspect.signature(command.callback).parameters for command in _commands(app))


def test_dvc_reads_one_params_file_and_repro_names_no_other() -> None:
    (repro,) = (command for command in _commands(app) if command.name == "repro")
    assert "params" not in inspect.signature(repro.callback).parameters


def test_every_stage_runs_as_a_module_too() -> None:
    for stage in STAGES:
        assert (Path(__file__).parents[2] / "stages" / f"{stage}.py").is_file()


def test_an_unknown_entry(workspace: Any) -> None:
    text = workspace.run("stages.app", "prepare", "town", expect=1)
    assert "expected the name of an entry; got 'town'; did you mean 'towns'?" in text
    assert "Traceback" not in text


def test_debug_shows_the_traceback(workspace: Any) -> None:
    assert "Traceback" in workspace.run("stages.app", "prepare", "town", "--debug", expect=1)


def test_a_missing_params_file(workspace: Any) -> None:
    text = workspace.run("stages.app", "prepare", "towns", "--params", "none.yaml", expect=1)
    assert "none.yaml: expected the params of the pipeline; got no such file" in text


def test_an_unknown_command_is_a_usage_error(workspace: Any) -> None:
    assert "No such command 'prepar'" in workspace.run("stages.app", "prepar", expect=2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "malformed JSON"),
        ('{"data": 3}', "expected"),
        ('{"data": []}', "row"),
        (None, "no such file"),
    ],
    ids=["malformed", "another layout", "empty", "missing"],
)
def test_wrong_files(workspace: Any, content: str | None, message: str) -> None:
    file = workspace.root / "data/raw/towns/dev.json"
    kept = file.read_text()
    try:
        file.write_text(content) if content is not None else file.unlink()
        text = workspace.run("stages.app", "prepare", "towns", expect=1)
        assert message in text
        assert "dev" in text
        assert "Traceback" not in text
    finally:
        file.write_text(kept)


def test_a_tokenizer_without_offsets(workspace: Any) -> None:
    def slow(params: dict[str, Any]) -> None:
        params["selection"]["towns"]["tokenizer"] = "data/raw/towns"

    before = workspace.params
    workspace.edited(slow)
    try:
        text = workspace.run("stages.app", "select", "towns", expect=1)
        assert "fast tokenizer" in text
        assert "Traceback" not in text
    finally:
        workspace.params = before
        workspace.write()


def test_a_cache_that_is_not_there(workspace: Any) -> None:
    for command in ("describe", "verify"):
        text = workspace.run("stages.app", "cache", command, "nothing", expect=1)
        assert "data/targets/nothing" in text
        assert "Traceback" not in text


def test_a_missing_model(workspace: Any) -> None:
    row = json.dumps({"question": "Who?", "context": "Ada."}) + "\n"
    text = workspace.run("stages.app", "predict", "nobody", expect=1, stdin=row)
    assert "expected the name of a student or teacher; got 'nobody'" in text


SIZES = """
from typer.testing import CliRunner
from stages.app import app
for words in ("small --json", "teacher --depth 1", "smaller"):
    print(CliRunner().invoke(app, ["size", *words.split()]).output, end="\\0")
"""


def test_sizes_of_models_that_are_not_trained_yet(workspace: Any) -> None:
    printed, lines, refused, _ = workspace.run_code(SIZES).split("\0")
    tree = json.loads(printed)
    layers = next(child for child in tree["children"] if child["name"] == "bert")["children"][1]
    assert layers["kind"] == "BertEncoder"
    assert tree["bytes"] == 4 * tree["parameters"]
    assert sum(child["parameters"] for child in tree["children"]) == tree["parameters"]
    assert lines.startswith("teacher (BertForQuestionAnswering)")
    assert [line.split()[1] for line in lines.splitlines()[1:]] == ["bert", "qa_outputs"]
    assert "expected the name of a student or teacher; got 'smaller'; did you mean 'small'" in refused
