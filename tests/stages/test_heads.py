"""Students with several heads: their params, and both kinds of them from raw data to scores."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.errors import DataError, ParamsError
from stages.needed import needed_fields
from stages.params import parse
from stages.size import size

ROOT = Path(__file__).parents[2]
BERT = {
    "architecture": "bert",
    "max_length": 64,
    "num_hidden_layers": 1,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_attention_heads": 2,
}
TRAINING = {"num_train_epochs": 1, "per_device_train_batch_size": 8, "use_cpu": True, "logging_steps": 1}


def _params() -> dict[str, Any]:
    """A relevance student that follows two teachers, and a student of two tasks."""
    tasks = {"pairs": "relevance", "kinds": "classification"}
    teachers = {"one": "pairs", "two": "pairs", "three": "kinds"}
    rows = {"teacher_rows": 16, "train_rows": 20, "labelled_rows": 16, "dev_rows": 10}
    train = {"split": "teacher", "num_train_epochs": 1, "per_device_train_batch_size": 8}
    pairs = {"dataset": "pairs", "split": "train", "targets": {"a": "one_pairs", "b": "two_pairs"}}
    kinds = {"dataset": "kinds", "split": "train", "targets": {"c": "three_kinds"}}
    score = {"datasets": ["pairs"], "outputs": 1}
    scores = {"loss": "soft_score_mse", "from": ["a", "b"], "student": ["like_a", "like_b"], "weight": 0.9}
    both = [pairs, kinds]
    watched = {
        "eval_strategy": "steps",
        "eval_steps": 1,
        "metric_for_best_model": "accuracy",
        "load_best_model_at_end": True,
        "early_stopping_patience": 5,
    }
    match = {"loss": "hidden_mse", "teacher_layer": 1, "student_layer": 1, "weight": 0.5}
    return {
        "datasets": {
            name: {
                "reader": "demo_kinds",
                "language": "en",
                "folder": str(ROOT / "pipeline/datasets"),
                "task": task,
                "options": {**rows, "pairs": name == "pairs"},
            }
            for name, task in tasks.items()
        },
        "selection": {
            name: {"method": "none", "tokenizer": "data/tokenizers/words", "max_tokens": 64} for name in tasks
        },
        "tokenizers": {"words": {"kind": "words", "text": ["pairs", "kinds"]}},
        "teachers": {
            name: {
                "task": tasks[dataset],
                "model": BERT,
                "tokenizer": "words",
                "train": {**train, "dataset": dataset, "seed": len(name)},
            }
            for name, dataset in teachers.items()
        },
        "targets": {
            f"{name}_{dataset}": {
                "teacher": name,
                "dataset": dataset,
                "splits": ["train"],
                "fields": {"class_logits": {}, "hidden_states": {"layers": [1]}},
            }
            for name, dataset in teachers.items()
        },
        "students": {
            "mkdm": {
                "model": {
                    **BERT,
                    "heads": {"gold": {"datasets": ["pairs"]}, "like_a": score, "like_b": score},
                },
                "tokenizer": "words",
                "phases": [
                    {"sources": [pairs], "terms": [scores], "training": TRAINING},
                    {
                        "sources": [pairs],
                        "terms": [{"loss": "gold", "student": "gold", "weight": 0.1}, scores],
                        "training": {**TRAINING, **watched, "eval_set": "pairs.dev"},
                    },
                ],
                "evaluate": ["pairs.dev"],
            },
            "both": {
                "model": {
                    **BERT,
                    "heads": {"relevant": {"datasets": ["pairs"]}, "kind": {"datasets": ["kinds"]}},
                },
                "tokenizer": "words",
                "phases": [
                    {
                        "sources": both,
                        "mixing": {"tau": 0.5},
                        "terms": [
                            {"loss": "gold", "student": "relevant", "sources": ["pairs.train"]},
                            {"loss": "gold", "student": "kind", "sources": ["kinds.train"]},
                            {"loss": "kd_kl", "from": "c", "student": "kind", "sources": ["kinds.train"]},
                            {**match, "from": "c", "sources": ["kinds.train"]},
                            {**match, "from": "a", "sources": ["pairs.train"]},
                        ],
                        "training": {**TRAINING, **watched, "eval_set": "kinds.dev"},
                    }
                ],
                "evaluate": ["pairs.dev", "kinds.dev"],
            },
        },
        "evaluation": {"latency_rows": 2, "speed_rows": 4},
    }


@pytest.fixture
def params() -> dict[str, Any]:
    return copy.deepcopy(_params())


def _change(params: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    place: Any = params["students"]
    for part in parents:
        place = place[int(part) if part.isdigit() else part]
    place[int(last) if last.isdigit() else last] = value


def test_tasks_of_heads_are_those_of_their_data_sets(params: dict[str, Any]) -> None:
    parsed = parse(params, Path("params.yaml"), models=True)
    assert parsed.head_tasks("both") == {"relevant": "relevance", "kind": "classification"}
    assert parsed.students["mkdm"].heads["like_b"].outputs == 1
    assert needed_fields(params, ["mkdm", "both"]).keys() == {"one_pairs", "two_pairs", "three_kinds"}


WRONG: list[tuple[str, Any, str]] = [
    ("mkdm.model.heads.gold", {}, r"students\.mkdm\.model\.heads\.gold\.datasets: field required"),
    ("mkdm.model.heads.gold.datasets", [], r"model\.heads\.gold\.datasets: list should have at least 1"),
    ("mkdm.model.heads.like_a.outputs", 2, r"model\.heads\.like_a\.outputs: input should be 1; got 2"),
    ("mkdm.model.heads.gold.dataset", "pairs", r"heads\.gold\.dataset: unknown key; did you mean 'datasets'"),
    (
        "mkdm.model.heads.gold.datasets",
        ["pears"],
        r"heads\.gold\.datasets: unknown data set 'pears'; did you",
    ),
    ("mkdm.model.heads.gold.datasets", ["pairs", "kinds"], r"expected data sets of one task; got class.*rel"),
    ("mkdm.model.heads.idle", {"datasets": ["pairs"]}, r"heads\.idle: no term teaches it; leave it out"),
    ("mkdm.phases.1.terms.0.student", "golden", r"terms\.0: student: .*got 'golden'; did you mean 'gold'"),
    ("mkdm.phases.0.terms.0.student", ["like_a"], r"student: expected one output, or one for each alias"),
    (
        "mkdm.phases.1.terms.0.student",
        "like_a",
        r"terms\.0: head 'like_a' has one output, a score, which 'soft_score_mse' teaches; got 'gold'",
    ),
    ("mkdm.evaluate", ["kinds.dev"], r"mkdm\.evaluate: no head is about data set 'kinds'"),
    (
        "both.phases.0.mixing",
        "concatenate",
        r"0\.mixing: tasks classification, relevance share no batch: draw them, 'mixing: \{tau: 1\.0\}'",
    ),
    (
        "both.phases.0.terms.0",
        {"loss": "gold", "student": "relevant"},
        r"terms\.0: head 'relevant' is about pairs, not kinds\.train; write 'sources: \[pairs\.train\]'",
    ),
    ("both.model.architecture", "qanet", r"students\.both\.model: 'qanet' reads spans only"),
    ("both.model.architecture", "electra", r"students\.both\.model\.heads: 'electra' has one head; use bert"),
]


@pytest.mark.parametrize(("path", "value", "message"), WRONG, ids=[path for path, _, _ in WRONG])
def test_one_mistake(params: dict[str, Any], path: str, value: Any, message: str) -> None:
    _change(params, path, value)
    with pytest.raises(ParamsError, match=message):
        parse(params, Path("params.yaml"), models=True)


def test_several_tasks_need_heads(params: dict[str, Any]) -> None:
    del params["students"]["both"]["model"]["heads"]
    for place, task in enumerate(("relevance", "classification", "classification")):
        _change(params, f"both.phases.0.terms.{place}.student", task)
    with pytest.raises(
        ParamsError, match=r"students\.both\.phases: expected terms about one task; got class"
    ):
        parse(params, Path("params.yaml"))


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which both students were trained and scored."""
    from stages import (
        bind,
        cache_targets,
        evaluate,
        finetune_teacher,
        prepare,
        select,
        train_student,
        vocabulary,
    )

    folder = tmp_path_factory.mktemp("heads")
    params = _params()
    (folder / "data/manifests").mkdir(parents=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("COLDBREW_CACHE", str(folder / "stamps"))
        for stage, section in (
            (prepare, "datasets"),
            (vocabulary, "tokenizers"),
            (select, "selection"),
            (finetune_teacher, "teachers"),
            (cache_targets, "targets"),
            (bind, "students"),
            (train_student, "students"),
            (evaluate, "students"),
        ):
            for name in params[section]:
                stage.run(name, Path("params.yaml"))
        yield folder


def _read(folder: Path, path: str) -> Any:
    return json.loads((folder / "data" / path).read_text())


def _log(folder: Path, student: str) -> list[dict[str, Any]]:
    lines = (folder / f"data/students/{student}/training_log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_relevance_is_one_of_two(scored: Path, params: dict[str, Any]) -> None:
    from stages import prepare

    params["datasets"]["pairs"]["task"] = "classification"
    params["datasets"]["kinds"]["task"] = "relevance"
    params |= {"teachers": {}, "targets": {}, "students": {}}
    (scored / "other.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(DataError, match=r"expected two labels, .*; write datasets\.kinds\.task: class"):
        prepare.run("kinds", Path("other.yaml"))


def test_sizes_before_a_training_are_those_after_it(scored: Path, params: dict[str, Any]) -> None:
    def parameters(name: str) -> int:
        return int(json.loads(size(name, 1, as_json=True)[0])["parameters"])

    for name, folder in (("both", "students"), ("mkdm", "students"), ("three", "teachers")):
        trained = parameters(name)
        here = scored / "data" / folder / name
        here.rename(here.with_name("away"))
        try:
            assert parameters(name) == trained
        finally:
            here.with_name("away").rename(here)
    # Of four kinds of things, by the classes of its data.
    model = {"architecture": "bigru", "gru_size": 5, "word_size": 3}
    source, term = {"dataset": "kinds", "split": "train"}, {"loss": "gold", "student": "classification"}
    phase = {"sources": [source], "terms": [term], "training": TRAINING}
    params["students"]["alone"] = {"model": model, "tokenizer": "words", "phases": [phase], "evaluate": []}
    (scored / "alone.yaml").write_text(yaml.safe_dump(params))
    classifier = json.loads(size("alone", 1, Path("alone.yaml"), as_json=True)[0])["children"][-1]
    classes = _read(scored, "passages/kinds/dataset.json")["classes"]
    assert (classifier["name"], classifier["parameters"]) == ("classifier", (2 * 5 + 1) * len(classes))


def test_every_head_is_taught_and_every_set_scored(scored: Path) -> None:
    phases = _read(scored, "students/mkdm/summary.json")["phases"]
    assert set(phases[0]["scales"]) == {"soft_score_mse_like_a", "soft_score_mse_like_b"}
    assert phases[1]["scales"] == {
        "gold": 0.1,
        "soft_score_mse_like_a": 0.45,
        "soft_score_mse_like_b": 0.45,
    }
    both = _read(scored, "students/both/summary.json")["phases"][0]
    assert [source["rows"] for source in both["sources"]] == [20, 20]
    log = [entry for entry in _log(scored, "both") if "loss" in entry]
    assert _read(scored, "students/both/config.json")["predicting"] is None
    # 20 rows in batches of 8: of each source 3 batches, 6 an epoch, each of one source.
    assert len(log) == 6
    of_pairs, of_kinds = (
        [[entry[name] > 0 for entry in log] for name in names]
        for names in (("gold_relevant", "hidden_mse_a"), ("gold_kind", "kd_kl", "hidden_mse_c"))
    )
    assert all(drawn == of_pairs[0] for drawn in of_pairs)
    assert all(drawn == [not pairs for pairs in of_pairs[0]] for drawn in of_kinds)
    assert _read(scored, "scores/mkdm/metrics.json")["sets"].keys() == {"pairs.dev"}
    sets = _read(scored, "scores/both/metrics.json")["sets"]
    assert {name: entry["task"] for name, entry in sets.items()} == {
        "pairs.dev": "relevance",
        "kinds.dev": "classification",
    }


@pytest.mark.parametrize(("student", "watched"), [("mkdm", "pairs.dev"), ("both", "kinds.dev")])
def test_the_heads_with_the_best_scores_together_are_published(
    scored: Path, student: str, watched: str
) -> None:
    log = _log(scored, student)
    found = {entry["step"]: entry["eval_accuracy"] for entry in log if "eval_accuracy" in entry}
    (best,) = (entry["best_step"] for entry in log if "best_step" in entry)
    scores = _read(scored, f"scores/{student}/metrics.json")["sets"][watched]
    assert found[best] == max(found.values()) == pytest.approx(scores["accuracy"], abs=1e-3)


def test_a_multi_head_student_predicts_the_mean_of_its_heads(scored: Path) -> None:
    """Yang et al. 2019, eq. 6, from the published folder and the text, through transformers alone."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = scored / "data/students/mkdm"
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    predictions = _read(scored, "scores/mkdm/predictions/pairs.dev.json")
    from pipeline.schema import Passage
    from pipeline.tables import read_rows

    passages = {row.id: row for row in read_rows(scored / "data/passages/pairs/dev.arrow", Passage)}
    for said in predictions[:4]:
        passage = passages[said["id"]]
        inputs = tokenizer(passage.question, passage.text, return_tensors="pt")
        with torch.no_grad():
            heads = model(**inputs).heads
        scores = [
            heads["gold"].softmax(-1)[0, 1],
            *(heads[name].sigmoid()[0, 0] for name in ("like_a", "like_b")),
        ]
        assert said["values"][1] == pytest.approx(float(torch.stack(scores).mean()), rel=1e-4)


def test_the_command_predicts_as_evaluation_does(scored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.schema import Passage
    from pipeline.tables import read_rows
    from stages.predict import predict

    monkeypatch.chdir(scored)
    passages = read_rows(scored / "data/passages/pairs/dev.arrow", Passage)
    lines = [json.dumps({"id": row.id, "question": row.question, "text": row.text}) for row in passages]
    (scored / "rows.jsonl").write_text("\n".join(lines))
    with pytest.raises(ParamsError, match="name it with --head: kind, relevant"):
        predict("both", Path("rows.jsonl"), Path("out.jsonl"))
    for student, heads in (("mkdm", []), ("both", ["relevant"])):
        predict(student, Path("rows.jsonl"), Path("out.jsonl"), heads)
        found = [json.loads(line) for line in (scored / "out.jsonl").read_text().splitlines()]
        wanted = _read(scored, f"scores/{student}/predictions/pairs.dev.json")
        assert [row["id"] for row in found] == [row["id"] for row in wanted]
        assert [[row["label"]] for row in found] == [row["prediction"] for row in wanted]
        for row, scores in zip(found, wanted, strict=True):
            assert list(row["probabilities"]) == ["0", "1"]
            assert list(row["probabilities"].values()) == pytest.approx(scores["values"], rel=1e-4)
