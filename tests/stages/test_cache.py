"""Which caches the commands `coldbrew cache ...` work on."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from stages import running
from stages.app import app


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The sets that the stage was run for."""
    names: list[str] = []

    def run(name: str, *arguments: Any, **options: Any) -> None:
        names.append(name)

    monkeypatch.setattr("stages.cache_targets.run", run)
    monkeypatch.setattr("stages.cache._plan", run)
    monkeypatch.setattr(running, "TIMES", tmp_path / "times.jsonl")
    monkeypatch.chdir(tmp_path)
    return names


COMMANDS = pytest.mark.parametrize("command", ["fill", "repair", "plan"])


@COMMANDS
def test_a_set_goes_by_its_name_or_its_own_folder(command: str, named: list[str], tmp_path: Path) -> None:
    for path in (
        "towns",
        "data/targets/towns",
        "./data/targets/towns/",
        str(tmp_path / "data/targets/towns"),
    ):
        done = CliRunner().invoke(app, ["cache", command, path])
        assert done.exit_code == 0, done.output
    assert named == ["towns"] * 4


@COMMANDS
@pytest.mark.parametrize("path", ["backup/towns", "./backup/towns", "data/teachers/towns", "/backup/towns"])
def test_a_copy_is_not_taken_for_the_set_of_its_name(command: str, path: str, named: list[str]) -> None:
    done = CliRunner().invoke(app, ["cache", command, path])
    assert done.exit_code == 1
    assert f"{Path(path)}: expected a target set of params.yaml by name" in done.output
    assert "a copy of towns is made anew from a whole one (coldbrew cache push, pull, convert)" in done.output
    assert named == []
