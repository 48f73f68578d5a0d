"""Scores while a student trains, what follows from them, and callbacks of one's own."""

import json
import sys

import pytest
import torch
from safetensors.torch import load_file

from pipeline.errors import ParamsError
from pipeline.training import best, checkpoints
from pipeline.training.phase import Phase
from pipeline.training.train import train

TRAINING = {
    "num_train_epochs": 4,
    "per_device_train_batch_size": 4,
    "learning_rate": 1e-2,
    "save_steps": 3,
    "logging_steps": 2,
    "use_cpu": True,
}
WATCHED = {
    "eval_set": "made_up.dev",
    "eval_strategy": "steps",
    "eval_steps": 2,
    "metric_for_best_model": "score",
}
TERMS = [{"loss": "gold"}]


class Scorer:
    """Scores as they are told, at each step, and the weights that it saw."""

    metrics = ("score",)

    def __init__(self, scores, break_at=None):
        self.scores, self.break_at, self.seen = scores, break_at, []

    def __call__(self, model):
        self.seen.append({name: value.clone() for name, value in model.state_dict().items()})
        if self.break_at == len(self.seen):
            raise KeyboardInterrupt
        return {"score": float(self.scores[len(self.seen) - 1])}


@pytest.fixture
def student(world, shape, tmp_path):
    def run(folder, scorer=None, **training):
        phase = Phase(TERMS, {**TRAINING, **(WATCHED if scorer else {}), **training}, scorer=scorer)
        return train(
            tmp_path / folder / "student",
            name="student",
            inputs=world.inputs,
            tokenizer=world.tokenizer,
            architecture="bert",
            options=shape,
            phases=[phase],
            seed=1,
            work=tmp_path / folder / "work",
            targets={"made_up": world.teacher},
        )

    return run


def weights(tmp_path, folder):
    return load_file(tmp_path / folder / "student/model.safetensors")


def log(tmp_path, folder):
    lines = (tmp_path / folder / "student/training_log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


# 22 rows in batches of 4: 6 steps an epoch, 24 in all, 12 evaluations.
RISING = range(12)
PEAK = [1, 3, 9, 4, 5, 8, 7, 6, 2, 1, 1, 1]


def test_being_watched_changes_nothing(student, tmp_path):
    student("watched", Scorer(RISING), ema_decay=0.9)
    scorer = Scorer(RISING)
    student("by_epoch", scorer, ema_decay=0.9, eval_strategy="epoch")
    student("alone", None, ema_decay=0.9)
    for folder in ("watched", "by_epoch"):
        assert same(weights(tmp_path, folder), weights(tmp_path, "alone"))
        losses = [entry for entry in log(tmp_path, folder) if "loss" in entry]
        assert losses == log(tmp_path, "alone")
    assert same(scorer.seen[-1], weights(tmp_path, "alone"))  # the weights to publish are scored
    assert len(scorer.seen) == 4
    entries = [entry for entry in log(tmp_path, "watched") if "eval_score" in entry]
    assert [(entry["step"], entry["eval_score"]) for entry in entries] == [(2 * at + 2, at) for at in RISING]


def test_the_best_weights_are_published(student, tmp_path):
    scorer = Scorer(PEAK)
    summary = student("best", scorer, load_best_model_at_end=True, ema_decay=0.9)
    assert same(weights(tmp_path, "best"), scorer.seen[2])
    assert not same(scorer.seen[2], scorer.seen[-1])
    assert summary["phases"][0]["best_step"] == 6
    assert summary["phases"][0]["last"]["step"] == 24
    lowest = Scorer(PEAK)
    student("lowest", lowest, load_best_model_at_end=True, greater_is_better=False)
    assert same(weights(tmp_path, "lowest"), lowest.seen[0])


def test_training_stops_when_the_score_no_longer_rises(student, tmp_path):
    scorer = Scorer(PEAK)
    summary = student("early", scorer, load_best_model_at_end=True, early_stopping_patience=3)
    assert len(scorer.seen) == 6
    assert summary["phases"][0]["best_step"] == 6
    assert same(weights(tmp_path, "early"), scorer.seen[2])
    patient = Scorer([1, 2, 3, 3.4, 3.3, 9, 9, 9, 9, 9, 9, 9])
    student("patient", patient, early_stopping_patience=2, early_stopping_threshold=0.5)
    assert len(patient.seen) == 5


@pytest.mark.parametrize("broken", [2, 4, 5, 6])
def test_a_run_that_was_cut_goes_on_as_if_it_had_not_been(student, tmp_path, broken):
    settings = {"load_best_model_at_end": True, "early_stopping_patience": 3, "save_steps": 4}
    student("whole", Scorer(PEAK), **settings)
    with pytest.raises(KeyboardInterrupt):
        student("cut", Scorer(PEAK, break_at=broken), **settings)
    newest = checkpoints.newest(tmp_path / "cut" / "work" / "phase-0")
    done = int(newest.name.split("-")[1]) if newest else 0
    student("cut", Scorer(PEAK[done // 2 :]), **settings)
    assert same(weights(tmp_path, "cut"), weights(tmp_path, "whole"))
    assert log(tmp_path, "cut") == log(tmp_path, "whole")


def test_a_run_that_had_stopped_is_not_trained_further(student, tmp_path, monkeypatch):
    settings = {"load_best_model_at_end": True, "early_stopping_patience": 3, "save_steps": 12}
    student("whole", Scorer(PEAK), **settings)

    def killed(*_):
        raise KeyboardInterrupt

    # The checkpoint of step 12 is written after the evaluation that ends the training there.
    with monkeypatch.context() as patch:
        patch.setattr(best, "newest", killed)
        with pytest.raises(KeyboardInterrupt):
            student("cut", Scorer(PEAK), **settings)
    student("cut", Scorer([]), **settings)
    assert same(weights(tmp_path, "cut"), weights(tmp_path, "whole"))


def test_at_most_two_copies_of_best_weights_are_kept(student, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        student("cut", Scorer(RISING, break_at=9), load_best_model_at_end=True, save_steps=6)
    kept = sorted(path.name for path in (tmp_path / "cut" / "work" / "phase-0").glob("best-*"))
    assert kept == ["best-12", "best-16"]


OWN = """
from transformers import TrainerCallback

class Watch(TrainerCallback):
    def __init__(self, path, every: int = 1):
        self.path, self.every = path, every

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step % self.every == 0:
            with open(self.path, "a") as file:
                file.write(f"{state.global_step}\\\\n")

class Other:
    pass
"""


def test_callbacks_of_ones_own(student, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "modules", {**sys.modules})
    (tmp_path / "watching.py").write_text(OWN.replace("\\\\n", "\\n"))
    own = {"callback": "watching:Watch", "path": str(tmp_path / "steps"), "every": 5}
    student("own", Scorer(RISING), callbacks=["printer", own])
    assert (tmp_path / "steps").read_text().split() == ["5", "10", "15", "20"]
    assert "eval_score" in capsys.readouterr().out
    wrong = [own | {"each": 1}, "watching:Wach", "prnter", 3, {"every": 2}]
    with pytest.raises(ParamsError) as error:
        student("wrong", Scorer(RISING), callbacks=wrong)
    for problem in (
        "callbacks.0: expected what 'watching:Watch' can be called with; got an unexpected",
        "callbacks.1: 'watching:Wach': expected an attribute of",
        "callbacks.2: callback 'prnter': expected the name of a callback, or module:attribute; got 'prnter'",
        "callbacks.3: expected a name, module:attribute, or {callback: name, ...}; got 3",
        "callbacks.4: expected a name",
    ):
        assert problem in str(error.value)
    with pytest.raises(ParamsError, match=r"expected a transformers\.TrainerCallback; got Other"):
        student("other", Scorer(RISING), callbacks=["watching:Other"])


def test_loggers_keep_their_files_beside_the_work(student, tmp_path):
    student("logged", Scorer(RISING), report_to=["dvclive"], save_steps=3)
    folder = tmp_path / "logged/work-logs/phase-0/dvclive"
    assert {path.stem for path in folder.rglob("*.tsv")} >= {"gold", "gold_weighted", "score"}
    assert not (tmp_path / "logged/work").exists()


def test_tensorboard_has_its_events(student, tmp_path):
    pytest.importorskip("tensorboard", reason="an extra: pip install 'coldbrew[tensorboard]'")
    student("logged", Scorer(RISING), report_to="tensorboard")
    assert list((tmp_path / "logged/work-logs/phase-0/tensorboard").glob("events.out.tfevents.*"))


def test_all_ranks_go_by_the_scores_of_the_first(world, make_order, ranks, run, tmp_path):
    settings = {"load_best_model_at_end": True, "early_stopping_patience": 3, "eval_steps": 1}
    phases = [Phase(TERMS, {**TRAINING, **WATCHED, **settings, "num_train_epochs": 6})]
    # 22 rows in global batches of 8: 3 steps an epoch, 18 in all. By itself the second rank would not stop.
    told = {"note_rows": str(tmp_path / "rows"), "scores": [[*PEAK] * 2, [*range(24)]]}
    assert run(*ranks(make_order(world.inputs, tmp_path, phases, **told))) == [0, 0]
    summary = json.loads((tmp_path / "student/summary.json").read_text())
    assert summary["phases"][0]["best_step"] == 3
    entries = (tmp_path / "student/training_log.jsonl").read_text().splitlines()
    assert [json.loads(entry)["eval_score"] for entry in entries if "eval_score" in entry] == PEAK[:6]


def test_a_metric_that_is_not_scored_is_an_error(student):
    with pytest.raises(ParamsError, match="unknown metric 'scored'; did you mean 'score'"):
        student("wrong", Scorer(RISING), metric_for_best_model="scored")
    with pytest.raises(ParamsError, match="eval_set: expected what scores the student; got nothing"):
        student("wrong", None, eval_set="made_up.dev")
