"""The option --cluster, from the command line to the bytes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.cache.verify import verify
from stages import running
from stages.app import app


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str, list[str]], dict[str, Any]]:
    """Run a command with a stage that only remembers how it was called."""

    def call(stage: str, command: list[str]) -> dict[str, Any]:
        seen: dict[str, Any] = {}

        def run(name: str, params: Path, **options: Any) -> None:
            seen.update(options, name=name, params=params)

        monkeypatch.setattr(f"stages.{stage}.run", run)
        monkeypatch.setattr(running, "TIMES", tmp_path / "times.jsonl")
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output
        return seen

    return call


def test_the_options_reach_the_stage(called: Any) -> None:
    seen = called("select", ["select", "towns", "--cluster", "local:3"])
    assert seen == {"name": "towns", "params": Path("params.yaml"), "cluster": "local:3", "threads": None}
    command = ["cache", "fill", "set", "--cluster", "tcp://host:1", "--threads", "2", "--wait"]
    seen = called("cache_targets", command)
    assert seen.pop("params") == Path("params.yaml")
    assert seen == {"name": "set", "cluster": "tcp://host:1", "threads": 2, "wait": True}
    seen = called("cache_targets", ["cache", "repair", "set", "--cluster", "local:2"])
    assert seen.pop("params") == Path("params.yaml")
    assert seen == {"name": "set", "cluster": "local:2", "threads": None, "wait": False, "repair": True}


def test_without_a_cluster_a_fill_is_the_stage(called: Any) -> None:
    seen = called("cache_targets", ["cache", "fill", "set"])
    assert seen["cluster"] is None
    assert seen["threads"] is None


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_cluster_gives_the_files_of_one_process(
    make_workspace: Callable[[Path], Any], tmp_path: Path
) -> None:
    (tmp_path / "root").mkdir()
    made = make_workspace(tmp_path / "root")
    made.params["targets"]["teacher_towns"]["shard_rows"] = 4
    made.write()
    for command in (("prepare", "towns"), ("vocabulary", "words"), ("select", "towns")):
        made.run("stages.app", *command)
    selected = tmp_path / "selected"
    passages = made.root / "data/passages/towns"
    passages.rename(selected)
    made.run("stages.app", "select", "towns", "--cluster", "local:2")
    assert {file.name: file.read_bytes() for file in passages.iterdir()} == {
        file.name: file.read_bytes() for file in selected.iterdir()
    }
    made.run("stages.app", "finetune_teacher", "teacher")
    made.run("stages.app", "cache_targets", "teacher_towns")
    alone = made.root / "data/targets/alone"
    (made.root / "data/targets/teacher_towns").rename(alone)
    url = f"file://{tmp_path}/remote"
    text = made.run(
        "stages.app",
        "cache",
        "fill",
        "teacher_towns",
        "--cluster",
        "local:2",
        "--threads",
        "1",
        "--push",
        url,
    )
    assert "Traceback" not in text
    assert f"{url}: files_sent" in text
    filled = made.root / "data/targets/teacher_towns"
    assert verify(filled) == []
    assert (filled / "manifest.json").read_bytes() == (alone / "manifest.json").read_bytes()
    assert (tmp_path / "remote/manifest.json").read_bytes() == (alone / "manifest.json").read_bytes()
