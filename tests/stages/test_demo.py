"""The demo, and what `coldbrew demo` says of other params."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from stages.app import app
from stages.demo import DEMO

ROOT = Path(__file__).parents[2]


def test_the_recipe_is_what_params_are_at_first() -> None:
    params, demo = ((ROOT / file).read_text(encoding="utf-8") for file in ("params.yaml", DEMO))
    if params.splitlines()[0] != demo.splitlines()[0]:
        pytest.skip("params.yaml describes another run")
    assert params == demo


@pytest.mark.parametrize(("params", "told"), [("datasets:\n  demo: {}  # as it came", False), ("{}", True)])
def test_the_demo_says_when_another_run_is_in_its_place(
    params: str, told: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    ran: list[list[str]] = []
    monkeypatch.setattr("stages.repro.repro", ran.append)
    DEMO.parent.mkdir()
    DEMO.write_text("datasets: {demo: {}}")
    Path("params.yaml").write_text(params)
    done = CliRunner().invoke(app, ["demo"])
    assert ran == [[]], done.output
    note = "params.yaml is not the demo: running what it describes; 'cp recipes/demo.yaml params.yaml' brings"
    assert (note in done.output) is told
