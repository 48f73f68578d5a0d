"""params.yaml: every problem at once, each with its path; and every params file of the project is right."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.errors import DataError, ParamsError
from stages.params import REQUIRED, load, parse

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
    place[int(last) if last.isdigit() else last] = value


PHASE = "students.small.phases.0"
MATCH = {"loss": "hidden_mse", "from": "teacher", "teacher_layer": 2, "student_layer": 1}
WRONG: list[tuple[str, Any, str]] = [
    (f"{PHASE}.sources.0.rows", 0, r"sources\.0\.rows: .*whole number from 1, or a share.*got 0"),
    (f"{PHASE}.sources.0.rows", True, r"sources\.0\.rows: .*whole number from 1, or a share.*got True"),
    (f"{PHASE}.sources.0.labelled", 1.5, r"sources\.0\.labelled: .*or a share.*got 1\.5"),
    ("datasets.towns.keep_impossible", "yes", r"datasets\.towns\.keep_impossible: .*got 'yes'"),
    ("evaluation", {"null_score_diff_threshold": float("nan")}, r"null_score_diff_threshold: .*finite"),
    (f"{PHASE}.terms.0.null_answer", True, r"terms\.0\.null_answer: .*where no answer could be said"),
    (f"{PHASE}.terms.0.null_answer", True, r"null_answer: expected one value for all terms"),
    (f"{PHASE}.terms.1.null_answer", True, r"null_logits"),
    (
        "selection.towns",
        {"method": "windows", "tokenizer": "t", "max_tokens": 64, "idf": "row"},
        r"selection\.towns: unknown option 'idf' of selection method 'windows'",
    ),
    ("selection.towns.stride", -1, r"selection\.towns\.stride: .*got -1"),
    ("datasets.towns.reader", "squat", r"datasets\.towns: unknown reader 'squat'; did you mean 'squad'"),
    ("datasets.towns.options", {"seeds": 1}, r"unknown option 'seeds'"),
    ("datasets.towns.langauge", "en", r"datasets\.towns\.langauge: unknown key; did you mean 'language'"),
    ("datasets.towns.files", "train.json", r"datasets\.towns\.files: .*got 'train.json'"),
    ("datasets.towns.files", {"train": 3, "dev": "dev.json"}, r"datasets\.towns\.files\.train.*got 3"),
    ("datasets.towns.task", "spans", r"task: unknown task 'spans'; did you mean 'span'"),
    ("datasets.towns.task", "classification", r"selection\.towns\.method: 'tfidf' selects for a question"),
    ("datasets.towns.task", "relevance", r"teachers\.teacher: task 'span', but data set 'towns' is of task"),
    ("datasets.towns.task", "relevance", r"students\.small: task 'span', but data set 'towns' is of task"),
    (
        "teachers.teacher.task",
        "tagging",
        r"targets\.teacher_towns\.fields: teacher 'teacher' of task 'tagging'",
    ),
    ("selection.towns.max_tokens", "64", r"selection\.towns\.max_tokens: .*got '64'"),
    ("selection.towns.method", "tfdif", r"unknown selector 'tfdif'; did you mean 'tfidf'"),
    ("teachers.teacher.tokenizer", "word", r"unknown tokenizer 'word'; did you mean 'words'"),
    ("teachers.teacher.model.architecture", "bigru", r"model: 'bigru' does not do task 'span'; use bert"),
    ("teachers.teacher.model.architecture", "brt", r"unknown architecture 'brt'; did you mean 'bert'"),
    ("teachers.teacher.model.hiden_size", 8, r"unknown option 'hiden_size'.*did you mean 'hidden_size'"),
    (
        "students.small.model.outputs",
        {"start_logit": "x"},
        r"model\.outputs: unknown output 'start_log",
    ),
    (f"{PHASE}.training.eval_set", "towns.test", r"training\.eval_set: unknown split 'test' of towns"),
    (f"{PHASE}.training.eval_set", "dev", r"training\.eval_set: unknown data set 'dev'"),
    (f"{PHASE}.training.eval_step", 3, r"unknown training setting 'eval_step'; did you mean 'eval_steps'"),
    ("teachers.teacher.train.learning_rat", 1.0, r"unknown training setting 'learning_rat'"),
    ("teachers.teacher.train.eval_set", "towns.dev", r"teacher\.train: unknown training setting 'eval_set'"),
    ("teachers.teacher.train.ema_decay", 0.9, r"teacher\.train: unknown training setting 'ema_decay'"),
    ("teachers.teacher.train.save_steps", 100, r"teacher\.train: unknown training setting 'save_steps'"),
    (
        "teachers.teacher.train.max_steps",
        0,
        r"teacher\.train: max_steps: expected a whole number, at least 1",
    ),
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
    (
        f"{PHASE}.terms.1",
        MATCH,
        r"hidden_mse needs field 'hidden_states_2'; add 'hidden_states_2: \{\}' to targets",
    ),
    (
        f"{PHASE}.terms.1",
        {**MATCH, "teacher_layer": 3},
        r"teacher_layer: expected layers from 0 to 2, .* got 3",
    ),
    (
        f"{PHASE}.terms.1",
        {**MATCH, "student_layer": 9},
        r"student_layer: expected layers from 0 to 2, .* got 9",
    ),
    (f"{PHASE}.terms.1", {**MATCH, "student_layer": -1}, r"student_layer: expected a layer, from 0; got -1"),
    (
        f"{PHASE}.terms.1",
        {**MATCH, "projection": {"kind": "linear", "in": 8, "out": 9}},
        r"projection.in: expected 16, the student's width; got 8",
    ),
    (
        f"{PHASE}.terms.1",
        {**MATCH, "projection": {"kind": "liner", "in": 8, "out": 9}},
        r"projection: expected \{kind: linear",
    ),
    (
        f"{PHASE}.terms.1",
        {**MATCH, "loss": "attention_mse_sum"},
        r"add 'attention_scores_2: \{heads: sum\}' to targets\.teacher_towns\.fields",
    ),
    (
        f"{PHASE}.terms.1",
        {"matches": "T5", "from": "teacher"},
        r"the name of a preset; got 'T5'; known: T12-nano",
    ),
    (f"{PHASE}.terms.1", {"matches": "T3", "from": "teacher"}, r"teacher_layer: expected layers from 0 to 2"),
    (f"{PHASE}.sources.0.split", "trian", r"unknown split 'trian' of towns; did you mean 'train'"),
    (f"{PHASE}.sources.0.targets", {"teacher": "none"}, r"unknown target set 'none'"),
    (f"{PHASE}.sources.0.targets", {"teacher/0": "teacher_towns"}, r"an alias holds no '/'"),
    (f"{PHASE}.terms.1.from", ["teacher", "teachr"], r"terms\.1\.from: unknown target alias 'teachr'"),
    (
        f"{PHASE}.terms.1.from",
        ["teacher", "teacher"],
        r"terms\.1: from: expected the alias of a target set, or",
    ),
    (f"{PHASE}.terms.1.student", ["span", "span"], r"student: expected one output, or one for each alias"),
    (
        f"{PHASE}.terms.1.sources",
        ["towns.trian"],
        r"unknown source 'towns\.trian'; did you mean 'towns\.train'",
    ),
    (f"{PHASE}.terms.1.sources", "towns.train", r"terms\.1: sources: expected a list of sources.*got 'towns"),
    (f"{PHASE}.terms.1.sources", [], r"terms\.1: sources: expected a list of sources.*got \[\]"),
    (f"{PHASE}.name", "Pre-distil", r"phases\.0\.name: string should match pattern"),
    (f"{PHASE}.mixing", "shuffle", r"phases\.0\.mixing: input should be 'concatenate'; got 'shuffle'"),
    (f"{PHASE}.mixing", {"tau": float("nan")}, r"mixing\.tau: input should be a finite number; got nan"),
    (f"{PHASE}.mixing", {"tau": float("inf")}, r"mixing\.tau: input should be a finite number; got inf"),
    (f"{PHASE}.mixing", {"tau": -1.0}, r"mixing\.tau: input should be greater than or equal to 0; got -1"),
    (f"{PHASE}.mixing", {"tua": 1.0}, r"mixing\.tua: unknown key; did you mean 'tau'"),
    ("students.Small", {}, r"students\.Small: expected a name of a-z, 0-9 and _"),
    (
        "evaluation.free_text",
        ["town"],
        r"evaluation\.free_text: unknown data set 'town'; did you mean 'towns'",
    ),
    ("studens", {}, r"studens: unknown section; did you mean 'students'"),
]


@pytest.mark.parametrize(("path", "value", "message"), WRONG, ids=[path for path, _, _ in WRONG])
def test_one_mistake(params: dict[str, Any], path: str, value: Any, message: str) -> None:
    _change(params, path, value)
    with pytest.raises(ParamsError, match=message):
        parse(params, Path("params.yaml"), models=True)


BOTH = {"mean_probabilities": ["small", "teacher"], "evaluate": ["towns.dev"]}


def test_ensembles(params: dict[str, Any]) -> None:
    params["ensembles"] = {"both": {**BOTH, "weights": [2.0, 1.0]}}
    assert parse(params, Path("params.yaml")).ensembles["both"].weights == [2.0, 1.0]


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("small", {}, r"ensembles\.small: a student or teacher has this name too"),
        (
            "both",
            {"mean_probabilities": ["small", "teachr"]},
            r"unknown student or teacher 'teachr'; did you",
        ),
        ("both", {"mean_probabilities": ["small", "small"]}, r"probabilities\.1: 'small' is named twice"),
        ("both", {"mean_probabilities": ["small"]}, r"mean_probabilities: list should have at least 2 items"),
        ("both", {"evaluate": ["towns.train"]}, r"evaluate: 'small' is not scored on towns\.train; add it"),
        ("both", {"evaluate": ["town.dev"]}, r"evaluate: unknown data set 'town'; did you mean 'towns'"),
        ("both", {"weights": [1.0]}, r"both\.weights: expected 2 weights, one a member; got 1"),
        ("both", {"weight": [1.0]}, r"both\.weight: unknown key; did you mean 'weights'"),
    ],
)
def test_one_mistake_in_an_ensemble(
    params: dict[str, Any], name: str, change: dict[str, Any], message: str
) -> None:
    params["ensembles"] = {name: {**BOTH, **change}}
    with pytest.raises(ParamsError, match=message):
        parse(params, Path("params.yaml"))


def test_spans_of_other_tokens_have_no_mean(params: dict[str, Any]) -> None:
    params["tokenizers"]["others"] = {"kind": "words", "text": ["towns"], "lowercase": False}
    params["students"]["small"]["tokenizer"] = "others"
    params["ensembles"] = {"both": BOTH}
    with pytest.raises(ParamsError, match="'small' and 'teacher' have different tokenizers, so their spans"):
        parse(params, Path("params.yaml"))


@pytest.mark.parametrize("key", ["free_text", "variants"])
def test_further_scores_are_of_answers(key: str, params: dict[str, Any]) -> None:
    params["evaluation"][key] = ["towns"]
    assert getattr(parse(params, Path("params.yaml")).evaluation, key) == ["towns"]
    params["datasets"]["towns"]["task"] = "relevance"
    with pytest.raises(
        ParamsError, match=rf"evaluation\.{key}: data set 'towns' is of task 'relevance', not 'span'"
    ):
        parse(params, Path("params.yaml"))


def test_readers_of_passages_take_no_cls_token(params: dict[str, Any]) -> None:
    params["tokenizers"]["words"]["cls_token"] = True
    parse(params, Path("params.yaml"))
    params["students"]["small"]["model"] = {"architecture": "qanet"}
    with pytest.raises(
        ParamsError, match=r"students\.small\.tokenizer: 'qanet' would read \[CLS\] as a word"
    ):
        parse(params, Path("params.yaml"))


def test_fields_of_layers(params: dict[str, Any]) -> None:
    fields = {"span_logits": {}, "top_spans": {}, "qa_attention": {}}
    layers = {
        "hidden_states": {"layers": [0, -1]},
        "hidden_states_1": {"dtype": "float32"},
        "gram": {"layers": [[0, 1], 2]},
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


def test_what_dvc_reads_of_every_params_file_must_be_written() -> None:
    described = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    stages = described["stages"].values()
    repeated = {re.sub(r"\W", "", stage["foreach"]) for stage in stages if "foreach" in stage}
    spared = {name for variables in described["vars"] for name in variables}
    listed = {key for stage in stages for key in stage.get("do", stage).get("params", ())}
    assert {*REQUIRED} == repeated - spared | {key for key in listed if key.isidentifier()}


@pytest.mark.parametrize("section", REQUIRED)
def test_a_missing_section(section: str, params: dict[str, Any]) -> None:
    del params[section]
    with pytest.raises(ParamsError, match=rf"{section}: section is missing; write '{section}: {{}}'"):
        parse(params, Path("params.yaml"))


@pytest.mark.parametrize("section", ["targets", "merges"])
def test_a_section_of_nothing(section: str, params: dict[str, Any]) -> None:
    params[section] = None
    with pytest.raises(
        ParamsError, match=rf"{section}: expected entries by name; got None; write '{section}: {{}}' for none"
    ):
        parse(params, Path("params.yaml"))


def test_no_mapping() -> None:
    with pytest.raises(ParamsError, match="expected sections such as datasets; got list"):
        parse([], Path("params.yaml"))


def test_a_missing_file_and_malformed_yaml(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        load(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("a: [")
    with pytest.raises(DataError, match="malformed YAML"):
        load(tmp_path / "params.yaml")


@pytest.fixture
def several(params: dict[str, Any]) -> dict[str, Any]:
    """Two more teachers, the last of other tokens; the student follows a mix, and a merged set."""
    params["tokenizers"]["lower"] = {**params["tokenizers"]["words"], "min_frequency": 2}
    for name, tokenizer in (("second", "words"), ("third", "lower")):
        params["teachers"][name] = {**params["teachers"]["teacher"], "tokenizer": tokenizer}
        params["targets"][f"{name}_towns"] = {**params["targets"]["teacher_towns"], "teacher": name}
    params["targets"]["dev_towns"] = {**params["targets"]["teacher_towns"], "splits": ["dev"]}
    merge = {"mean_logits": ["teacher_towns", "second_towns"], "dataset": "towns", "splits": ["train"]}
    params["merges"] = {"both": {**merge, "fields": {"span_logits": {"dtype": "float32"}}}}
    source = params["students"]["small"]["phases"][0]["sources"][0]
    source["targets"] = {
        "teacher": {"mean_probabilities": ["teacher_towns", "third_towns"], "weights": [2, 0.5]},
        "merged": "both",
        "equal": {"mean_logits": ["teacher_towns", "second_towns"]},
    }
    return params


def test_mixes_and_merges(several: dict[str, Any]) -> None:
    parsed = parse(several, Path("params.yaml"), models=True)
    assert parsed.students["small"].sets == ["teacher_towns", "third_towns", "both", "second_towns"]
    assert parsed.read_sets("both") == ["teacher_towns", "second_towns"]
    assert parsed.teachers_of("small") == ["teacher", "third", "second"]


@pytest.fixture
def two_sources(several: dict[str, Any]) -> dict[str, Any]:
    """A second source, of another split, that has no targets; and a phase of it alone."""
    more = {"dataset": "towns", "split": "dev"}
    phases = several["students"]["small"]["phases"]
    phases.append({**copy.deepcopy(phases[0]), "sources": [more], "terms": [{"loss": "gold"}]})
    phases[0] |= {"sources": [*phases[0]["sources"], more], "mixing": {"tau": 1}, "name": "distil"}
    phases[0]["terms"][1]["sources"] = ["towns.train"]
    return several


def test_phases_of_several_sources(two_sources: dict[str, Any]) -> None:
    first, second = parse(two_sources, Path("params.yaml"), models=True).students["small"].phases
    assert (first.name, first.tau) == ("distil", 1.0)
    assert (second.name, second.tau) == (None, None)
    assert [source.name for source in first.sources] == ["towns.train", "towns.dev"]


WRONG_SOURCES: list[tuple[str, Any, str]] = [
    (
        f"{PHASE}.terms.1.sources",
        ["towns.train", "towns.dev"],
        r"terms\.1: source towns\.dev has no target 'teacher'; name one there, or write "
        r"'sources: \[towns\.train\]'",
    ),
    (f"{PHASE}.terms.0.sources", ["towns.train"], r"sources\.1: no term counts its rows; leave it out"),
    (f"{PHASE}.sources.1.targets", {"teacher": "dev_twns"}, r"unknown target set 'dev_twns'"),
    (
        f"{PHASE}.sources.1.targets",
        {"teacher": "teacher_towns"},
        r"'teacher_towns' holds towns \['train'\], not towns\.dev",
    ),
    ("students.small.phases.1.terms", [{"loss": "kd_kl", "from": "teacher"}], r"1\.terms\.0\.from: unknown"),
    ("students.small.phases.1.sources.0.split", "test", r"phases\.1\.sources\.0: unknown split 'test'"),
]


@pytest.mark.parametrize(
    ("path", "value", "message"), WRONG_SOURCES, ids=[message for _, _, message in WRONG_SOURCES]
)
def test_one_mistake_in_sources(two_sources: dict[str, Any], path: str, value: Any, message: str) -> None:
    _change(two_sources, path, value)
    with pytest.raises(ParamsError, match=message):
        parse(two_sources, Path("params.yaml"), models=True)


@pytest.mark.parametrize(("first", "second"), [("soft", "soft"), ("1", None)])
def test_phases_are_told_apart(two_sources: dict[str, Any], first: str, second: str | None) -> None:
    for number, name in enumerate((first, second)):
        _change(two_sources, f"students.small.phases.{number}.name", name)
    with pytest.raises(ParamsError, match=rf"phases\.1\.name: two phases are called '?{first}'?") as error:
        parse(two_sources, Path("params.yaml"))
    assert "phases.0.name" in str(error.value)


def test_an_alias_is_the_same_mix_in_all_sources(two_sources: dict[str, Any]) -> None:
    _change(two_sources, f"{PHASE}.sources.1.targets", {"teacher": "dev_towns"})
    del two_sources["students"]["small"]["phases"][0]["terms"][1]["sources"]
    with pytest.raises(ParamsError, match=r"terms\.1\.from: 'teacher' must be one target set in each source"):
        parse(two_sources, Path("params.yaml"))
    _change(two_sources, f"{PHASE}.sources.0.targets.teacher", "teacher_towns")
    parse(two_sources, Path("params.yaml"))


@pytest.fixture
def sentences(params: dict[str, Any]) -> dict[str, Any]:
    """An encoder, and a student of its vectors, that are scored on pairs."""
    text = {"reader": "text", "task": "sentence", "files": {"train": "train.txt"}}
    pairs = {"reader": "glue", "task": "regression", "options": {"task": "stsb"}}
    for name, dataset in (("text", text), ("pairs", pairs)):
        params["datasets"][name] = {**params["datasets"]["towns"], **dataset}
        params["selection"][name] = {**params["selection"]["towns"], "method": "none"}
    params["teachers"]["encoder"] = {"task": "sentence", "model": {"from": "data/raw/encoder"}}
    params["teachers"]["encoder"] |= {"pooling": "mean", "evaluate": ["pairs.dev"]}
    fields = {"sentence_vector": {"pooling": "mean"}}
    params["targets"]["vectors"] = {
        "teacher": "encoder",
        "dataset": "text",
        "splits": ["train"],
        "fields": fields,
    }
    cosine = {"loss": "sentence_cos", "from": "encoder", "student": "sentence", "student_layer": 2}
    phase = {
        "sources": [{"dataset": "text", "split": "train", "targets": {"encoder": "vectors"}}],
        "terms": [cosine],
        "training": {"num_train_epochs": 1},
    }
    params["students"]["vectors"] = {
        **params["students"]["small"],
        "phases": [phase],
        "evaluate": ["pairs.dev"],
    }
    return params


def test_encoders_are_scored_on_pairs(sentences: dict[str, Any]) -> None:
    read = parse(sentences, Path("params.yaml"))
    assert read.students["vectors"].task == "sentence"
    assert read.students["vectors"].vector == {"pooling": "first", "layer": 2}


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("teachers.encoder.evaluate", ["towns.dev"], r"teachers\.encoder: vectors are scored on .*of 'span'"),
        ("students.vectors.evaluate", ["towns.dev"], r"students\.vectors: vectors are scored on .*of 'span'"),
        ("teachers.teacher.pooling", "mean", r"teachers\.teacher\.pooling: task 'span' has no vectors"),
        (
            "ensembles",
            {"both": {"mean_probabilities": ["encoder", "vectors"], "evaluate": ["pairs.dev"]}},
            r"ensembles\.both\.mean_probabilities\.0: 'encoder' is an encoder without a head",
        ),
        ("teachers.encoder.pooling", "last", r"teachers\.encoder\.pooling: .*got 'last'"),
        (
            "students.vectors.phases.0.terms",
            [{"loss": "gold", "student": "sentence"}],
            r"terms\.0: student: expected the name of a student's output that loss 'gold' is defined for",
        ),
    ],
)
def test_wrong_encoders(sentences: dict[str, Any], path: str, value: Any, message: str) -> None:
    _change(sentences, path, value)
    with pytest.raises(ParamsError, match=message):
        parse(sentences, Path("params.yaml"))


ALIAS = f"{PHASE}.sources.0.targets.teacher"


@pytest.mark.parametrize(
    ("starts", "change", "message"),
    [
        ({"smaller": "small"}, {}, r"warm_starts\.smaller: unknown student 'smaller'; did you mean 'small'"),
        (
            {"other": "smaller"},
            {},
            r"warm_starts\.other\.student: unknown student 'smaller'; did you mean 'small'",
        ),
        ({"small": "small"}, {}, r"warm_starts\.small\.student: 'small' would start from itself"),
        (
            {"small": "other", "other": "small"},
            {},
            r"warm_starts\.other\.student: 'other' would start from it",
        ),
        ({"other": "small"}, {"tokenizer": "more"}, r"warm_starts\.other: expected the tokenizer of 'small'"),
        (
            {"other": "small"},
            {"model": {"architecture": "qanet"}},
            r"warm_starts\.other: expected the architecture",
        ),
        (
            {"other": "small"},
            {"model": {"architecture": "bert", "init_from": "data/teachers/teacher"}},
            r"students\.other\.model\.init_from: it starts from 'small'; leave one of them out",
        ),
    ],
)
def test_wrong_starts(
    params: dict[str, Any], starts: dict[str, str], change: dict[str, Any], message: str
) -> None:
    params["tokenizers"]["more"] = params["tokenizers"]["words"]
    params["students"]["other"] = {**params["students"]["small"], **change}
    params["warm_starts"] = {name: {"student": given} for name, given in starts.items()}
    with pytest.raises(ParamsError, match=message):
        parse(params, Path("params.yaml"))


MERGE = "merges.both"
WRONG_MIXES: list[tuple[str, Any, str]] = [
    (
        f"{ALIAS}.mean_probabilities",
        ["teacher_towns", "thrid_towns"],
        r"\.1: unknown target set 'thrid_towns'; did",
    ),
    (
        f"{ALIAS}.mean_probabilities",
        ["teacher_towns"],
        r"expected two target sets or more; got \['teacher_towns'\]",
    ),
    (
        f"{ALIAS}.mean_probabilities",
        ["teacher_towns", "dev_towns"],
        r"\.1: 'dev_towns' holds towns \['dev'\], not",
    ),
    (f"{ALIAS}.mean_logits", ["teacher_towns", "second_towns"], r"expected one of .*; got both or neither"),
    (f"{ALIAS}.weights", [1.0], r"targets\.teacher\.weights: expected 2 weights, one a member; got 1"),
    (f"{ALIAS}.weights", [1.0, 0], r"weights: expected finite numbers above 0; got \[1\.0, 0\.0\]"),
    (f"{ALIAS}.weights", [1.0, float("inf")], r"weights: expected finite numbers above 0; got \[1\.0, inf\]"),
    (
        f"{ALIAS}.weights",
        [1.0, "2"],
        r"targets\.teacher\.weights\.1: input should be a valid number; got '2'",
    ),
    (f"{ALIAS}.weight", [1.0, 2.0], r"targets\.teacher\.weight: unknown key; did you mean 'weights'"),
    (ALIAS, 3, r"targets\.teacher: input should be a valid string; got 3"),
    (
        ALIAS,
        {"mean_logits": ["teacher_towns", "third_towns"]},
        r"mean_logits: teachers 'teacher' and 'third' have different tokenizers.*use mean_probabilities",
    ),
    (
        "targets.third_towns.fields",
        {"top_spans": {}},
        r"kd_kl needs field .* to targets\.third_towns\.fields",
    ),
    (
        f"{MERGE}.mean_logits",
        ["teacher_towns", "third_towns"],
        r"different tokenizers.*among a source's targets",
    ),
    (f"{MERGE}.mean_logits", ["teacher_towns", "both"], r"mean_logits: 'both' is a merge itself; name its"),
    (f"{MERGE}.splits", ["dev"], r"'teacher_towns' holds towns \['train'\], not towns\.dev"),
    (
        f"{MERGE}.fields",
        {"span_logits": {}, "top_spans": {}},
        r"top_spans: 'teacher_towns' does not hold it; add",
    ),
    (
        f"{MERGE}.fields",
        {"span_logit": {}},
        r"merges\.both\.fields: unknown field 'span_logit'; did you mean",
    ),
    (f"{MERGE}.fields", {"span_logits": {"dtype": "int4"}}, r"merges\.both\.fields\.span_logits: .*int4"),
    (f"{MERGE}.fields", {"qa_attention": {"layer": 1}}, r"option 'layer' is the members' own; leave it out"),
    (f"{MERGE}.backend", "arow", r"merges\.both\.backend: unknown backend 'arow'"),
    (f"{MERGE}.teacher", "teacher", r"merges\.both\.teacher: unknown key"),
    ("merges.teacher_towns", {}, r"merges\.teacher_towns\.dataset: field required"),
]


@pytest.mark.parametrize(
    ("path", "value", "message"), WRONG_MIXES, ids=[f"{path[-24:]} {value}" for path, value, _ in WRONG_MIXES]
)
def test_one_mistake_in_a_mix(several: dict[str, Any], path: str, value: Any, message: str) -> None:
    _change(several, path, value)
    with pytest.raises(ParamsError, match=message):
        parse(several, Path("params.yaml"), models=True)


def test_all_mistakes_in_mixes_are_reported_together(several: dict[str, Any]) -> None:
    _change(several, ALIAS, {"mean_probabilities": ["teacher_towns", "none"], "weights": [1.0, -1.0, 2.0]})
    several["merges"]["second_towns"] = {**several["merges"]["both"], "mean_logits": ["teacher_towns"]}
    with pytest.raises(ParamsError, match=r"5 problem\(s\)") as error:
        parse(several, Path("params.yaml"))
    for part in ("'none'", "expected 2 weights", "above 0", "has this name too", "two target sets or more"):
        assert part in str(error.value)


def test_tokenizers_of_checkpoints_are_compared_by_their_files(
    several: dict[str, Any], tmp_path: Path
) -> None:
    several["merges"] = {}
    phase = several["students"]["small"]["phases"][0]
    phase["sources"][0]["targets"] = {"teacher": {"mean_logits": ["teacher_towns", "second_towns"]}}
    for name in ("teacher", "second"):
        several["teachers"][name] = {**several["teachers"][name], "model": {"from": str(tmp_path / name)}}
        (tmp_path / name).mkdir()
    parse(several, Path("params.yaml"))  # not known yet: the caches will tell
    for name, vocabulary in (("teacher", "{}"), ("second", "{}"), ("second", '{"a": 1}')):
        (tmp_path / name / "tokenizer.json").write_text(vocabulary)
        if vocabulary == "{}":
            parse(several, Path("params.yaml"))
    with pytest.raises(ParamsError, match="teachers 'teacher' and 'second' have different tokenizers"):
        parse(several, Path("params.yaml"))


def test_a_mean_of_probabilities_has_no_logits(params: dict[str, Any]) -> None:
    params["teachers"]["other"] = params["teachers"]["teacher"]
    params["targets"]["other_towns"] = {**params["targets"]["teacher_towns"], "teacher": "other"}
    phase = params["students"]["small"]["phases"][0]
    phase["sources"][0]["targets"] = {"teacher": {"mean_probabilities": ["teacher_towns", "other_towns"]}}
    parse(params, Path("params.yaml"))
    phase["terms"][1]["loss"] = "kd_mse"
    with pytest.raises(ParamsError, match=r"phases\.0\.terms\.1: kd_mse reads raw logits.*use mean_logits"):
        parse(params, Path("params.yaml"))


def test_matches_of_what_is_held(params: dict[str, Any]) -> None:
    params["targets"]["teacher_towns"]["fields"]["hidden_states"] = {"layers": [0, -1]}
    nst = {**MATCH, "loss": "nst", "teacher_layer": [2, 2], "student_layer": [1, 1]}
    params["students"]["small"]["phases"][0]["terms"] += [MATCH, nst, {**MATCH, "loss": "pkd"}]
    parse(params, Path("params.yaml"))


def test_widths_that_differ_need_a_projection(params: dict[str, Any]) -> None:
    params["targets"]["teacher_towns"]["fields"]["hidden_states"] = {"layers": [2]}
    params["students"]["small"]["model"] |= {"hidden_size": 24}
    terms = params["students"]["small"]["phases"][0]["terms"]
    terms.append(MATCH)
    wanted = r"student is 24 wide and the teacher 16; add 'projection: \{kind: linear, in: 24, out: 16\}'"
    with pytest.raises(ParamsError, match=wanted):
        parse(params, Path("params.yaml"))
    terms[-1] = {**MATCH, "projection": {"kind": "linear", "in": 24, "out": 16}}
    parse(params, Path("params.yaml"))


@pytest.mark.parametrize(
    "options",
    [{"loss": "kd_mse"}, {"loss": "kd_bce"}, {"temperature_schedule": {"kind": "flsw"}}],
)
def test_raw_logits_need_equal_tokens(params: dict[str, Any], options: dict[str, Any]) -> None:
    params["students"]["small"]["phases"][0]["terms"][1] |= options
    parse(params, Path("params.yaml"))
    params["tokenizers"]["letters"] = {"kind": "characters", "text": ["towns"]}
    params["students"]["small"]["tokenizer"] = "letters"
    with pytest.raises(ParamsError, match=r"terms\.1: .* needs a student with its teacher's tokens"):
        parse(params, Path("params.yaml"))


def test_a_reader_without_layers_has_no_matches(params: dict[str, Any]) -> None:
    params["targets"]["teacher_towns"]["fields"]["hidden_states"] = {"layers": [2]}
    params["students"]["small"]["model"] = {"architecture": "qanet"}
    params["students"]["small"]["phases"][0]["terms"].append(MATCH)
    with pytest.raises(ParamsError, match="student_layer: the student has no layers that can be read"):
        parse(params, Path("params.yaml"))


SOFT = {"loss": "kd_kl", "from": "teacher"}
WRONG_TERMS: list[tuple[dict[str, Any], str]] = [
    ({**SOFT, "loss": "kd_lk"}, r"got 'kd_lk'; did you mean 'kd_kl'"),
    ({**SOFT, "weight_schedule": "linear_decline"}, r"weight_schedule: expected one of .*'linear_decline'"),
    ({**SOFT, "temperature_schedule": {"kind": "flws"}}, r"temperature_schedule: expected .*'flws'"),
    ({**SOFT, "temperature_schedule": {"kind": "flsw", "bta": 1.0}}, r"temperature_schedule: .*'bta'"),
    ({**SOFT, "temperatures": 2.0}, r"temperatures: expected an option .*did you mean 'temperature'"),
    ({**SOFT, "weight": -0.5}, r"weight: expected a finite number, 0 or more; got -0\.5"),
    ({**SOFT, "weight": float("nan")}, r"weight: .*got nan"),
    ({**SOFT, "weight": float("inf")}, r"weight: .*got inf"),
    ({**SOFT, "temperature": 0}, r"temperature: expected a finite number above 0; got 0"),
    ({**SOFT, "temperature": -1.0}, r"temperature: .*got -1\.0"),
    ({**SOFT, "loss": "kd_mse"}, r"kd_mse needs a student with its teacher's tokens"),
    ({**SOFT, "temperature_schedule": {"kind": "flsw"}}, r"flsw needs a student with its teacher's tokens"),
    ({**MATCH, "projection": {"kind": "linear"}}, r"projection: expected \{kind: linear"),
]


def test_all_mistakes_in_terms_are_reported_together(params: dict[str, Any]) -> None:
    params["tokenizers"]["letters"] = {"kind": "characters", "text": ["towns"]}
    student = params["students"]["small"]
    student["tokenizer"] = "letters"
    absent = copy.deepcopy(student["phases"][0])
    absent["sources"][0]["targets"] = {"teacher": "teacher_town"}
    student["phases"].append(absent)
    student["phases"][0]["terms"] = [{"loss": "gold"}, *(term for term, _ in WRONG_TERMS)]
    with pytest.raises(ParamsError) as error:
        parse(params, Path("params.yaml"))
    text = str(error.value)
    assert f"{len(WRONG_TERMS) + 1} problem(s)" in text
    for place, (_, message) in enumerate(WRONG_TERMS, 1):
        assert re.search(rf"students\.small\.phases\.0\.terms\.{place}: .*{message}", text), message
    assert "phases.1.sources.0.targets.teacher: unknown target set 'teacher_town'; did you mean" in text


def test_the_training_section_of_the_documentation(params: dict[str, Any]) -> None:
    page = (ROOT / "docs/params.md").read_text(encoding="utf-8")
    (written,) = re.findall(r"```yaml\n(training:.*?)```", page, re.DOTALL)
    _change(params, f"{PHASE}.training", yaml.safe_load(written)["training"])
    assert parse(params, Path("params.yaml"), models=True).students["small"].development == ["towns.dev"]
