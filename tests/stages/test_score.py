"""What `coldbrew cache score` asks of params before any cache is read."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.errors import DataError, ParamsError
from stages.score import score


@pytest.fixture
def params(tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    sets = tiny["targets"]
    sets["both"] = {**sets["teacher_towns"], "splits": ["train", "dev"]}
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(tiny))
    (tmp_path / "data/passages/towns").mkdir(parents=True)
    return path


def test_a_split_that_a_set_does_not_hold(params: Path) -> None:
    message = (
        r"hold its split 'dev'; got both of towns \['train', 'dev'\], teacher_towns of towns \['train'\]"
    )
    with pytest.raises(ParamsError, match=message):
        score(["both", "teacher_towns"], params, "dev")


def test_a_set_that_is_not_there(params: Path) -> None:
    with pytest.raises(ParamsError, match="did you mean 'both'"):
        score(["bth"], params, "dev")
    with pytest.raises(DataError, match="expected a table; got no such file"):
        score(["both"], params, "dev")
