"""params.yaml: every problem at once, each with its path; and every params file of the project is right."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import DataError, ParamsError
from stages.params import load, parse

ROOT = Path(__file__).parents[2]
FILES = [ROOT / "params.yaml", *sorted((ROOT / "recipes").glob("*.yaml"))]


@pytest.fixture
def params(tiny: dict[str, Any]) -> dict[str, Any]:
    return tiny


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_params_file_resolves(file: Path) -> None:
    load(file, models=True)


def test_the_recipes_are_all_seen() -> None:
    assert len(FILES) > 3


def _change(params: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    place: Any = params
    for part in parents:
        place = place[int(part) if part.isdigit() else part]
    place[last] = value


PHASE = "students.small.phases.0"
WRONG: list[tuple[str, Any, str]] = [
    ("datasets.towns.reader", "squat", r"datasets\.towns: unknown reader 'squat'; did you mean 'squad'"),
    ("datasets.towns.options", {"seeds": 1}, r"unknown option 'seeds'"),
    ("datasets.towns.langauge", "en", r"datasets\.towns\.langauge: unknown key; did you mean 'language'"),
    ("datasets.towns.files", "train.json", r"datasets\.towns\.files: .*got 'train.json'"),
    ("datasets.towns.files", {"train": 3, "dev": "dev.json"}, r"datasets\.towns\.files\.train.*got 3"),
    ("selection.towns.max_tokens", "64", r"selection\.towns\.max_tokens: .*got '64'"),
    ("selection.towns.method", "tfdif", r"unknown selector 'tfdif'; did you mean 'tfidf'"),
    ("teachers.teacher.tokenizer", "word", r"unknown tokenizer 'word'; did you mean 'words'"),
    ("teachers.teacher.model.architecture", "brt", r"unknown architecture 'brt'; did you mean 'bert'"),
    ("teachers.teacher.model.hiden_size", 8, r"unknown option 'hiden_size'.*did you mean 'hidden_size'"),
    ("teachers.teacher.train.learning_rat", 1.0, r"unknown training setting 'learning_rat'"),
    ("teachers.teacher.evaluate", ["towns.test"], r"unknown split 'test' of towns"),
    ("targets.teacher_towns.teacher", "techer", r"unknown teacher 'techer'; did you mean 'teacher'"),
    ("targets.teacher_towns.fields", {"span_logit": {}}, r"unknown field 'span_logit'; did you mean"),
    ("targets.teacher_towns.fields", {"span_logits": {"dtype": "int4"}}, r"int4"),
    ("targets.teacher_towns.fields", {"gram": {"layers": [[1]]}}, r"gram: layers: expected a list of pairs"),
    ("targets.teacher_towns.fields", {"hidden_states": {}}, r"layers: expected a list of layers, \[0, 6\]"),
    ("targets.teacher_towns.fields", {"top_spans": {}}, r"kd_kl needs field 'span_logits'; add"),
    ("targets.teacher_towns.backend", "arow", r"unknown backend 'arow'"),
    ("targets.teacher_towns.shard_rows", 1000, r"shard_rows: expected a power of two; got 1000"),
    (f"{PHASE}.terms.1.from", "teachr", r"unknown target alias 'teachr'"),
    (f"{PHASE}.terms.1.loss", "kd_lk", r"'kd_lk'; did you mean 'kd_kl'"),
    (f"{PHASE}.terms.1.temperature", 0, r"temperature: expected a finite number above 0; got 0"),
    (f"{PHASE}.terms.0.weight", -1.0, r"weight: expected .*got -1.0"),
    (f"{PHASE}.terms.0.weight", float("nan"), r"weight: expected .*got nan"),
    (f"{PHASE}.training.num_epochs", 1, r"unknown training setting 'num_epochs'"),
    (f"{PHASE}.sources.0.split", "trian", r"unknown split 'trian' of towns; did you mean 'train'"),
    (f"{PHASE}.sources.0.targets", {"teacher": "none"}, r"unknown target set 'none'"),
    ("students.Small", {}, r"students\.Small: expected a name of a-z, 0-9 and _"),
    ("studens", {}, r"studens: unknown section; did you mean 'students'"),
]


@pytest.mark.parametrize(("path", "value", "message"), WRONG, ids=[path for path, _, _ in WRONG])
def test_one_mistake(params: dict[str, Any], path: str, value: Any, message: str) -> None:
    _change(params, path, value)
    with pytest.raises(ParamsError, match=message):
        parse(params, Path("params.yaml"), models=True)


def test_fields_of_layers(params: dict[str, Any]) -> None:
    fields = {"span_logits": {}, "top_spans": {}, "qa_attention": {}}
    layers = {
        "hidden_states": {"layers": [0, -1]},
        "hidden_states_3": {"dtype": "float32"},
        "gram": {"layers": [[0, 3], 2]},
        "attention_scores": {"layers": [1], "heads": "mean"},
    }
    _change(params, "targets.teacher_towns.fields", fields | layers)
    assert parse(params, Path("params.yaml")).targets["teacher_towns"].fields.keys() > layers.keys()


def test_all_mistakes_are_reported_together(params: dict[str, Any]) -> None:
    _change(params, "datasets.towns.reader", "squat")
    _change(params, "selection.towns.max_tokens", "64")
    _change(params, f"{PHASE}.training.num_epochs", 1)
    with pytest.raises(ParamsError) as error:
        parse(params, Path("params.yaml"), models=True)
    text = str(error.value)
    assert "3 problem(s)" in text
    assert all(part in text for part in ("squat", "max_tokens", "num_epochs"))


def test_a_missing_section_and_no_mapping(params: dict[str, Any]) -> None:
    del params["datasets"]
    with pytest.raises(ParamsError, match="datasets: section is missing"):
        parse(params, Path("params.yaml"))
    with pytest.raises(ParamsError, match="expected sections such as datasets; got list"):
        parse([], Path("params.yaml"))


def test_a_missing_file_and_malformed_yaml(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        load(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("a: [")
    with pytest.raises(DataError, match="malformed YAML"):
        load(tmp_path / "params.yaml")
