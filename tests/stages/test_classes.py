"""Which class an output stands for, where a finished checkpoint has its own order."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from pipeline.errors import ParamsError
from stages import classes as stage
from stages.classes import student_classes, teacher_classes
from stages.params import load
from stages.sections import Params


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """A checkpoint that is evaluated on pairs whose classes are called no and yes."""
    monkeypatch.chdir(tmp_path)
    tokenizer = {"kind": "words", "text": ["pairs"]}
    source = {"dataset": "pairs", "split": "train", "targets": {"teacher": "set"}}
    training = {"max_steps": 1, "per_device_train_batch_size": 8, "learning_rate": 1e-3}
    described = {
        "datasets": {
            "pairs": {
                "reader": "pairs",
                "language": "en",
                "task": "classification",
                "folder": "data/raw",
                "files": {"train": "a.tsv", "dev": "b.tsv"},
            }
        },
        "selection": {"pairs": {"method": "none", "tokenizer": "data/tokenizers/words", "max_tokens": 64}},
        "tokenizers": {"words": tokenizer},
        "teachers": {
            "nli": {"task": "classification", "model": {"from": "checkpoint"}, "evaluate": ["pairs.dev"]}
        },
        "targets": {
            "set": {"teacher": "nli", "dataset": "pairs", "splits": ["train"], "fields": {"class_logits": {}}}
        },
        "students": {
            "small": {
                "model": {"architecture": "bilstm"},
                "tokenizer": "words",
                "phases": [
                    {
                        "sources": [source],
                        "terms": [{"loss": "kd_ce", "from": "teacher", "student": "classification"}],
                        "training": training,
                    }
                ],
                "evaluate": ["pairs.dev"],
            }
        },
        "evaluation": {},
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(described))
    (tmp_path / "data/passages/pairs").mkdir(parents=True)
    (tmp_path / "data/passages/pairs/dataset.json").write_text(json.dumps({"classes": ["no", "yes"]}))
    return load(tmp_path / "params.yaml")


def _checkpoint(**named: str) -> None:
    folder = Path("data/teachers/nli")
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"id2label": named} if named else {}))


def _held(monkeypatch: pytest.MonkeyPatch, *classes: str) -> None:
    """A target set that says so; the teacher itself is not at hand."""
    monkeypatch.setattr(stage, "load_manifest", lambda folder: SimpleNamespace(classes=list(classes)))


def test_outputs_are_counted_and_not_read_in_the_order_of_the_file(settings: Params) -> None:
    names = ["yes", "no", *"abcdefghi"]
    _checkpoint(**{str(number): names[number] for number in sorted(range(11), key=str)})
    assert teacher_classes(settings, "nli") == tuple(names)


@pytest.mark.parametrize("named", [{}, {"0": "LABEL_0", "1": "LABEL_1"}])
def test_one_that_names_nothing_has_the_data_sets_classes(settings: Params, named: dict[str, str]) -> None:
    _checkpoint(**named)
    assert teacher_classes(settings, "nli") == ("no", "yes")


@pytest.mark.parametrize("named", [{"0": "NO", "1": "YES"}, {"0": "yes", "1": "maybe"}])
def test_other_names_than_the_data_sets_are_refused(settings: Params, named: dict[str, str]) -> None:
    _checkpoint(**named)
    with pytest.raises(ParamsError, match=r"teachers\.nli.*id2label") as caught:
        teacher_classes(settings, "nli")
    assert "no, yes" in str(caught.value)


@pytest.mark.parametrize("classes", [("yes", "no"), ("no", "maybe", "yes")])
def test_a_students_order_is_that_of_its_targets(
    settings: Params, monkeypatch: pytest.MonkeyPatch, classes: tuple[str, ...]
) -> None:
    _held(monkeypatch, *classes)
    assert student_classes(settings, "small") == classes


def test_targets_that_name_nothing_have_the_data_sets_classes(
    settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    _held(monkeypatch)
    assert student_classes(settings, "small") == ("no", "yes")
    # So it is where the student's own data has no labels.
    (Path("data/passages/other")).mkdir()
    Path("data/passages/other/dataset.json").write_text("{}")
    settings.students["small"].phases[0].sources[0] = (
        settings.students["small"].phases[0].sources[0].model_copy(update={"dataset": "other"})
    )
    assert student_classes(settings, "small") == ("no", "yes")


def test_other_names_than_the_targets_are_refused(settings: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    _held(monkeypatch, "NO", "YES")
    with pytest.raises(ParamsError, match=r"students\.small.*target set set: NO, YES"):
        student_classes(settings, "small")
