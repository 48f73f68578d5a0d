"""Where a student's first weights come from."""

import json
from pathlib import Path

import pytest

from pipeline.errors import ModelError
from pipeline.fingerprint import config
from stages import bind


def reference(teacher: str, checkpoint: str) -> None:
    folder = Path(teacher)
    folder.mkdir(parents=True)
    noted = {"from": checkpoint, "weights": "w", "config": config(Path(checkpoint)), "tokenizer": "t"}
    (folder / "reference.json").write_text(json.dumps(noted))


@pytest.fixture
def taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders whose layers were taken; a teacher, a folder and a name on the hub stand for models."""
    monkeypatch.chdir(tmp_path)
    for folder in ("data/teachers/big", "data/raw/bert", "hub/bert"):
        Path(folder).mkdir(parents=True)
        Path(folder, "config.json").write_text(json.dumps({}))
    # A teacher of another project that refers to a checkpoint.
    monkeypatch.setattr("pipeline.fingerprint.weights", lambda folder: "w")
    monkeypatch.setattr("pipeline.fingerprint.tokenizer", lambda folder: "t")
    reference("elsewhere/data/teachers/big", "data/raw/bert")
    found: list[Path] = []
    monkeypatch.setattr("pipeline.hub.snapshot_download", lambda name, **_: f"hub/{name}")
    monkeypatch.setattr("pipeline.models.layers.extract_layers", lambda folder, *_: found.append(folder))
    return found


@pytest.mark.parametrize(
    ("named", "folder"),
    [
        ("data/teachers/big", "data/teachers/big"),
        ("data/raw/bert", "data/raw/bert"),
        ("elsewhere/data/teachers/big", "data/raw/bert"),
        ("bert", "hub/bert"),
    ],
)
def test_a_student_starts_from_a_teacher_a_folder_or_a_name_on_the_hub(
    named: str, folder: str, taken: list[Path]
) -> None:
    start = bind._initial({"init_from": named, "num_hidden_layers": 1})
    assert start is not None
    start(Path("out"))
    assert taken == [Path(folder)]


def test_a_teacher_that_is_not_there_names_its_stage(taken: list[Path]) -> None:
    with pytest.raises(ModelError, match="run finetune_teacher"):
        bind._initial({"init_from": "data/teachers/other"})
