"""Every task but spans from raw files to scores: its contract. A task joins by one entry of `DATA`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, pipeline

from pipeline.binding.bind import EvaluationSet, Source, bind
from pipeline.binding.inputs import Inputs
from pipeline.binding.target_rows import TargetSet
from pipeline.cache.reader import TargetCache
from pipeline.datasets.prepare import prepare
from pipeline.evaluation.development import Development
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.predict import predict_rows
from pipeline.files import read_json
from pipeline.inference.cache_targets import cache_targets
from pipeline.inference.finetune import finetune
from pipeline.objectives.needs import needs
from pipeline.schema import Passage
from pipeline.selection.select import select
from pipeline.tables import read_rows
from pipeline.tasks import SENTENCE, SPAN, TASKS
from pipeline.text.build import build_tokenizer
from pipeline.training.phase import Phase
from pipeline.training.train import train

NAMES = ("ada", "bob", "cid", "dan")
TOWNS = ("oslo", "rome", "lima", "bern")
SHAPE = {
    "num_hidden_layers": 1,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_attention_heads": 2,
    "max_length": 24,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
TRAINING = {"num_train_epochs": 1, "per_device_train_batch_size": 8, "learning_rate": 1e-3}


def _texts() -> list[tuple[str, str, str]]:
    return [(NAMES[row % 4], TOWNS[(row // 4) % 4], "lives in" if row % 3 else "left") for row in range(24)]


def _rows(label: Any, *, question: bool = False) -> str:
    rows = []
    for number, (name, town, verb) in enumerate(_texts()):
        row: dict[str, Any] = {"text": f"{name} {verb} {town}"}
        if question:
            row["question"] = f"who {verb} {town}"
        # One row in six has no label.
        rows.append(json.dumps(row | ({"label": label(name, town, verb)} if number % 6 else {})))
    return "\n".join(rows)


def _tagged() -> str:
    return "\n\n".join(
        f"{name}\tB-PER\n{verb.replace(' ', '')}\tO\n{town}\tB-LOC" for name, town, verb in _texts()
    )


PAIRS = {"question": "question"}
DATA = {
    "classification": ("pairs", _rows(lambda name, town, verb: name), {}),
    "relevance": ("pairs", _rows(lambda name, town, verb: int(verb == "left"), question=True), PAIRS),
    "regression": ("pairs", _rows(lambda name, town, verb: len(town) / 2 - NAMES.index(name)), {}),
    "multi_label": ("pairs", _rows(lambda name, town, verb: [name, town]), {}),
    "tagging": ("conll", _tagged(), {}),
}
SOFT = {"regression": "kd_mse", "multi_label": "kd_bce"}

pytestmark = pytest.mark.parametrize("task", [name for name in sorted(TASKS) if name not in (SPAN, SENTENCE)])


@dataclass(frozen=True)
class Made:
    """What the stages have left."""

    root: Path
    summary: dict[str, Any]
    classes: tuple[str, ...]

    def scores(self, name: str) -> dict[str, Any]:
        return read_json(self.root / "scores" / name / "metrics.json")["sets"]["people.dev"]


_made: dict[str, Made] = {}


@pytest.fixture
def made(task: str, tmp_path_factory: pytest.TempPathFactory) -> Made:
    if task not in _made:
        _made[task] = _make(task, tmp_path_factory.mktemp(task))
    return _made[task]


def _make(task: str, root: Path) -> Made:
    reader, content, options = DATA[task]
    name = "people.jsonl" if reader == "pairs" else "people.conll"
    (root / name).write_text(content)
    summary = prepare(
        root / "examples/people",
        reader=reader,
        language="en",
        folder=root,
        files={"train": name, "dev": name},
        options=options,
        labels=TASKS[task].labels,
    )
    words = root / "tokenizers/words"
    build_tokenizer([content.replace('"', " ")], words, kind="words")
    limits = {"max_tokens": 20, "max_question_tokens": 8}
    passages = root / "passages/people"
    select(root / "examples/people", passages, language="en", method="none", tokenizer=words, **limits)
    classes = tuple(read_json(passages / "dataset.json").get("classes", ()))
    teacher = root / "teachers/teacher"
    finetune(
        teacher,
        model={"architecture": "bert", **SHAPE},
        tokenizer=words,
        passages=passages,
        task=task,
        classes=classes,
        max_length=20,
        max_question_tokens=8,
        training=TRAINING,
    )
    cache_targets(
        root / "targets/set",
        manifest_out=root / "manifests/set.json",
        teacher=teacher,
        passages=passages,
        splits=["train"],
        fields={TASKS[task].field: {"dtype": "float32"}},
        max_length=20,
        max_question_tokens=8,
    )
    soft = {"loss": SOFT.get(task, "kd_kl"), "from": "teacher", "student": task, "temperature": 2.0}
    terms = [
        {"loss": "gold", "student": task},
        *([soft] if task not in ("regression", "multi_label") else []),
    ]
    targets = {alias: TargetSet(root / "targets/set", *wanted) for alias, wanted in needs(terms).items()}
    for reader_name, sources in (("student", [Source(0, 0, passages, "train", targets)]), ("teacher", [])):
        bind(
            root / "inputs" / reader_name,
            name=reader_name,
            language="en",
            tokenizer=words,
            max_length=20,
            max_question_tokens=8,
            sources=sources,
            evaluate=[EvaluationSet(passages, "dev")],
            lost_mass_limit=0.0,
            development=[EvaluationSet(passages, "dev")] if sources else [],
            max_answer_tokens=8,
            task=task,
            classes=classes,
        )
    watched = {
        "eval_set": "people.dev",
        "eval_strategy": "steps",
        "eval_steps": 1,
        "metric_for_best_model": TASKS[task].score_names[0],
        "load_best_model_at_end": True,
        "early_stopping_patience": 2,
    }
    scorer = Development.open(root / "inputs/student/train/rows", "people.dev", words)
    train(
        root / "students/student",
        name="student",
        inputs=root / "inputs/student/train/rows",
        tokenizer=words,
        architecture="bert",
        options=SHAPE,
        phases=[Phase(terms, TRAINING | watched | {"seed": 1}, scorer=scorer)],
        seed=1,
        work=root / "work",
        targets={"set": root / "targets/set"},
    )
    for kind, folder in (("student", "students/student"), ("teacher", "teachers/teacher")):
        evaluate(
            root / "scores" / kind,
            name=kind,
            kind=kind,
            model=root / folder,
            inputs=root / "inputs" / kind / "evaluate",
            max_answer_tokens=8,
            latency_rows=2,
            speed_rows=4,
        )
    return Made(root, summary, classes)


def test_all_rows_are_bound_predicted_and_counted(task: str, made: Made) -> None:
    labelled = made.summary["splits"]["train"]["labelled"]
    assert labelled == (24 if task == "tagging" else 20)
    inputs = Inputs.open(made.root / "inputs/student/train/rows")
    (source,) = inputs.sources
    assert (source.rows, source.gold_rows, inputs.task) == (24, labelled, task)
    for name in ("student", "teacher"):
        scores = made.scores(name)
        assert (scores["task"], scores["rows"], scores["unlabelled"]) == (task, labelled, 24 - labelled)
        assert scores.keys() == {"task", "rows", "unlabelled", *TASKS[task].score_names}
        predictions = read_json(made.root / f"scores/{name}/predictions/people.dev.json")
        assert len(predictions) == 24
        assert all(-100 <= value <= 100 for value in scores.values() if isinstance(value, float))


def test_the_student_with_the_best_development_scores_is_published(task: str, made: Made) -> None:
    lines = (made.root / "students/student/training_log.jsonl").read_text().splitlines()
    log = [json.loads(line) for line in lines]
    names = TASKS[task].score_names
    found = {
        entry["step"]: {name: entry[f"eval_{name}"] for name in names}
        for entry in log
        if f"eval_{names[0]}" in entry
    }
    (best,) = (entry["best_step"] for entry in log if "best_step" in entry)
    assert len(found) > 1
    assert found[best][names[0]] == max(scores[names[0]] for scores in found.values())
    assert found[best] == pytest.approx({name: made.scores("student")[name] for name in names}, abs=1e-3)


def test_the_classes_are_named_in_both_models(task: str, made: Made) -> None:
    assert bool(made.classes) == TASKS[task].has_classes
    for folder in ("students/student", "teachers/teacher"):
        config = read_json(made.root / folder / "config.json")
        names = [config["id2label"][str(number)] for number in range(len(config["id2label"]))]
        assert names == list(made.classes or ("score",))
        assert config["architectures"][0].endswith(TASKS[task].head)


def test_the_cache_holds_what_the_teacher_says(task: str, made: Made) -> None:
    cache = TargetCache.open(made.root / "targets/set")
    (column,) = TASKS[task].columns
    assert tuple(cache.manifest.classes) == (made.classes or ("score",))
    held = cache.batch(np.arange(24), [column])[column]
    tokenizer = AutoTokenizer.from_pretrained(made.root / "teachers/teacher")
    kind = "token-classification" if task == "tagging" else "text-classification"
    model = pipeline(kind, str(made.root / "teachers/teacher"), tokenizer=tokenizer, device="cpu").model
    name, town, verb = _texts()[1]
    text = f"{name} {verb.replace(' ', '')} {town}" if task == "tagging" else f"{name} {verb} {town}"
    pair = [f"who {verb} {town}", text] if task == "relevance" else [text]
    with torch.no_grad():
        logits = model(**tokenizer(*pair, return_tensors="pt")).logits[0].numpy()
    row = held[1][: len(logits)] if task == "tagging" else held[1]
    np.testing.assert_allclose(row, logits, atol=1e-6)


def test_predictions_are_those_of_evaluation(task: str, made: Made) -> None:
    scored = read_json(made.root / "scores/student/predictions/people.dev.json")
    passages = read_rows(made.root / "passages/people/dev.arrow", Passage)
    rows = [{"text": row.text} | ({"question": row.question} if row.question else {}) for row in passages]
    found = list(predict_rows(made.root / "students/student", rows, max_answer_tokens=8, max_length=20))
    key = {"tagging": "tags", "multi_label": "labels", "regression": "value"}.get(task, "label")
    for row, wanted in zip(found, scored, strict=True):
        if task == "regression":
            assert row[key] == pytest.approx(wanted["values"][0], rel=1e-4, abs=1e-6)
            continue
        assert (row[key] if isinstance(row[key], list) else [row[key]]) == wanted["prediction"]
        if task != "tagging":
            assert list(row["probabilities"]) == list(made.classes)
            assert list(row["probabilities"].values()) == pytest.approx(wanted["values"], rel=1e-4, abs=1e-6)


def test_a_student_works_in_transformers_pipelines(task: str, made: Made) -> None:
    kind = "token-classification" if task == "tagging" else "text-classification"
    found = pipeline(kind, str(made.root / "students/student"), device="cpu")("ada left oslo")
    if task == "tagging":
        # Of a word with tag O nothing is said.
        assert {entity["word"] for entity in found} <= {"ada", "left", "oslo"}
        assert {entity["entity"] for entity in found} <= set(made.classes)
    else:
        assert found[0]["label"] in (made.classes or ("score",))
