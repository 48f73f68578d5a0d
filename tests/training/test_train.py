import json
import shutil
import signal
from collections import Counter
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pipeline.errors import DataError, MismatchError, ParamsError
from pipeline.training.phase import Phase
from pipeline.training.train import _check_processes, _identity

GOLD = {"loss": "gold"}
SOFT = {"loss": "kd_kl", "from": "teacher", "temperature": 2.0}
TRAINING = {
    "num_train_epochs": 3,
    "per_device_train_batch_size": 4,
    "learning_rate": 1e-2,
    "save_steps": 2,
    "logging_steps": 2,
    "ema_decay": 0.99,
    "warmup": "logarithmic",
    "warmup_steps": 5,
    "use_cpu": True,
}
# 22 rows in batches of 4: 6 steps an epoch, 18 in all; the second phase ends inside an epoch.
PHASES = [Phase([GOLD, SOFT], TRAINING), Phase([GOLD], {**TRAINING, "max_steps": 8, "num_train_epochs": 3})]


@pytest.fixture(scope="module")
def order(world, make_order):
    """What a process of its own is to do in a folder."""

    def make(folder, phases=PHASES, **extra):
        return make_order(world.inputs, folder, phases, **extra)

    return make


def test_a_killed_run_ends_with_the_same_bytes(order, run, files, student, uninterrupted, tmp_path):
    kills = [
        {"kill_at_step": 3},  # epoch 0, one step after a checkpoint
        {"kill_at_step": 9},  # epoch 1
        {"kill_inside_checkpoint": 8},
        {"kill_inside_checkpoint": 2},  # before any checkpoint is whole
    ]
    folders = [tmp_path / str(number) for number in range(len(kills))]
    statuses = run(*(order(folder, **kill) for folder, kill in zip(folders, kills, strict=True)))
    assert statuses == [-signal.SIGKILL] * len(kills)
    for folder in folders:
        assert not (folder / "student").exists()
        student(folder)
        assert files(folder / "student") == files(uninterrupted)
        assert not (folder / "work").exists()


def test_the_published_folder_loads_and_holds_no_pickle(uninterrupted):
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    names = {path.name for path in uninterrupted.iterdir()}
    assert names == {
        "config.json",
        "model.safetensors",
        "summary.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "training_log.jsonl",
    }
    model = AutoModelForQuestionAnswering.from_pretrained(uninterrupted)
    tokens = AutoTokenizer.from_pretrained(uninterrupted)("w1 w2", return_tensors="pt")
    with torch.no_grad():
        assert model(**tokens).start_logits.isfinite().all()
    log = [json.loads(line) for line in (uninterrupted / "training_log.jsonl").read_text().splitlines()]
    assert [(entry["phase"], entry["step"]) for entry in log] == [
        *((0, step) for step in range(2, 19, 2)),
        *((1, step) for step in range(2, 9, 2)),
    ]
    summary = json.loads((uninterrupted / "summary.json").read_text())
    assert [phase["rows"] for phase in summary["phases"]] == [22, 22]
    assert summary["phases"][1]["name"] == "1"
    assert summary["phases"][0]["last"]["kd_kl"] == log[8]["kd_kl"]


def test_a_finished_phase_is_not_trained_again(student, files, uninterrupted, tmp_path, monkeypatch):
    from pipeline.training.trainer import DistillationTrainer

    trained = []
    original = DistillationTrainer.train

    def failing_in_the_second(self, *args, **kwargs):
        trained.append(self.label)
        if len(trained) == 2:
            raise KeyboardInterrupt
        return original(self, *args, **kwargs)

    monkeypatch.setattr(DistillationTrainer, "train", failing_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        student(tmp_path)
    student(tmp_path)
    assert trained == ["train student, phase 0", "train student, phase 1", "train student, phase 1"]
    assert files(tmp_path / "student") == files(uninterrupted)


def test_another_run_does_not_go_on_from_old_work(student, files, uninterrupted, tmp_path):
    (tmp_path / "work" / "phase-0-finished").mkdir(parents=True)
    (tmp_path / "work" / "run.json").write_text('{"identity": "of something else"}')
    student(tmp_path)
    assert files(tmp_path / "student") == files(uninterrupted)


def replaced(folder, name, contents):
    """A copy of a folder in which a file has other contents."""

    def change(given, tmp_path):
        copy = shutil.copytree(given[folder], tmp_path / folder)
        (copy / name).write_bytes(contents)
        return {folder: copy}

    return change


def set_to(**changes):
    return lambda given, tmp_path: changes


def starting_elsewhere(given, tmp_path):
    (tmp_path / "weights").write_bytes(b"others")
    return {"options": {**given["options"], "start": tmp_path / "weights"}}


@pytest.mark.parametrize(
    "change",
    [
        replaced("inputs", "more.arrow", b"rows"),
        replaced("tokenizer", "tokenizer.json", b"{}"),
        set_to(architecture="electra"),
        set_to(options={"num_hidden_layers": 2}),
        starting_elsewhere,
        set_to(phases=PHASES[:1]),
        set_to(phases=[Phase([GOLD, {**SOFT, "temperature": 3.0}], TRAINING), PHASES[1]]),
        set_to(phases=[Phase([GOLD, SOFT], {**TRAINING, "learning_rate": 2e-2}), PHASES[1]]),
        set_to(phases=[Phase([GOLD, SOFT], TRAINING, tau=1.0), PHASES[1]]),
        set_to(seed=2),
        set_to(world=2),
    ],
)
def test_what_a_run_must_share_to_be_gone_on_with(world, change, tmp_path):
    given = {
        "inputs": world.inputs,
        "tokenizer": world.tokenizer,
        "architecture": "bert",
        "options": {"num_hidden_layers": 1},
        "phases": PHASES,
        "seed": 1,
        "world": 1,
    }
    again = {**given, "inputs": shutil.copytree(world.inputs, tmp_path / "the same")}
    assert _identity(**again) == _identity(**given)
    assert _identity(**{**given, **change(given, tmp_path)}) != _identity(**given)


def test_processes_that_are_not_in_one_group_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    _check_processes("small", 2)
    with pytest.raises(ParamsError, match=r"expected 2 processes .*; got 1 in a group; without"):
        _check_processes("small", 1)


EVERY_TERM = [
    GOLD,
    SOFT,
    {"loss": "answer_margin", "from": "teacher", "weight": 0.3},
    {"loss": "qa_attention_mse", "from": "teacher", "weight": 0.1, "student_layer": -1},
]


def test_cached_targets_train_as_live_ones(world, student, tmp_path):
    phases = [Phase(EVERY_TERM, {**TRAINING, "num_train_epochs": 2, "logging_steps": 1})]
    live, cached = tmp_path / "live", tmp_path / "cached"
    student(live, phases)
    student(cached, phases, targets={"made_up": world.cache})
    logs = [
        [json.loads(line) for line in (folder / "student" / "training_log.jsonl").read_text().splitlines()]
        for folder in (live, cached)
    ]
    assert len(logs[0]) == 12
    for mine, theirs in zip(*logs, strict=True):
        assert mine == pytest.approx(theirs, abs=1e-5)
    mine, theirs = (load_file(folder / "student" / "model.safetensors") for folder in (live, cached))
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_a_cache_of_another_teacher_is_refused_before_any_work(world, student, tmp_path, fill_cache):
    fill_cache(tmp_path / "other", world.rows, dtype="float16")
    with pytest.raises(MismatchError, match="which the student's inputs are bound to"):
        student(tmp_path, targets={"made_up": tmp_path / "other"})
    assert not (tmp_path / "work").exists()


def test_a_gold_only_student_needs_no_cache(student, tmp_path):
    summary = student(tmp_path, [Phase([GOLD], {**TRAINING, "max_steps": 2})], targets={})
    assert summary["phases"][0]["scales"] == {"gold": 1.0}


def test_seeds_make_different_students(student, uninterrupted, tmp_path):
    student(tmp_path, seed=2)
    mine, theirs = (
        load_file(folder / "model.safetensors") for folder in (tmp_path / "student", uninterrupted)
    )
    assert any(not torch.equal(mine[name], theirs[name]) for name in mine)


def test_training_imports_no_inference_and_opens_no_teacher(world, order, run, tmp_path):
    seen = tmp_path / "seen.json"
    phases = [Phase(EVERY_TERM, {**TRAINING, "max_steps": 2})]
    assert run(order(tmp_path, phases, note_seen=str(seen), cache=str(world.cache))) == [0]
    noted = json.loads(seen.read_text())
    assert not [name for name in noted["modules"] if name.startswith("pipeline.inference")]
    weights = [path for path in noted["opened"] if path.endswith((".safetensors", ".bin", ".pt", ".pth"))]
    assert all(path.startswith(str(tmp_path)) for path in weights)


def test_two_ranks_read_every_row_once_an_epoch_resume_included(world, order, ranks, run, tmp_path):
    phases = [Phase([GOLD, SOFT], {**TRAINING, "num_train_epochs": 3, "per_device_train_batch_size": 3})]
    # 22 rows in global batches of 6: 4 steps an epoch. Killed in epoch 1, after the checkpoint of step 6.
    notes = [tmp_path / "killed", tmp_path / "resumed"]
    killed = run(*ranks(order(tmp_path, phases, note_rows=str(notes[0]), kill_at_step=7)))
    assert -signal.SIGKILL in killed
    assert 0 not in killed
    assert run(*ranks(order(tmp_path, phases, note_rows=str(notes[1])))) == [0, 0]
    steps = []
    for note, wanted in zip(notes, [range(6), range(6, 12)], strict=True):
        read = [
            [json.loads(line) for line in Path(f"{note}{rank}").read_text().splitlines()] for rank in (0, 1)
        ]
        for number, pair in zip(wanted, zip(*read, strict=False), strict=False):
            assert [entry["epoch"] for entry in pair] == [number // 4] * 2
            steps.append((number // 4, [row for entry in pair for row in entry["rows"]]))
    assert len(steps) == 12
    epochs = [Counter(row for number, rows in steps if number == epoch for row in rows) for epoch in range(3)]
    assert epochs[0] == epochs[1] == epochs[2]
    assert len(epochs[0]) == len(world.rows)
    assert set(epochs[0].values()) == {1}


def test_bad_settings_are_all_named_before_any_work(student, tmp_path):
    phases = [Phase([GOLD], {"learning_rat": 1}), Phase([GOLD], {"max_steps": 0})]
    with pytest.raises(ParamsError, match=r"phases.0.training.*learning_rate.*phases.1.training: max_steps"):
        student(tmp_path, phases)
    assert not (tmp_path / "work").exists()


def test_a_term_without_its_targets_is_refused(student, tmp_path):
    term = {"loss": "kd_kl", "from": "mentor"}
    with pytest.raises(
        ParamsError, match=r"expected a target set called 'mentor'; got \['teacher'\] of made_up\.train"
    ):
        student(tmp_path, [Phase([term], TRAINING), Phase([GOLD], TRAINING)])


def test_another_tokenizer_is_refused(student, world, tmp_path):
    other = tmp_path / "tokenizer"
    shutil.copytree(world.tokenizer, other)
    path = other / "tokenizer.json"
    path.write_text(path.read_text().replace('"w45"', '"x45"'))
    with pytest.raises(MismatchError, match="expected inputs made with the tokenizer in"):
        student(tmp_path, tokenizer=other)


def test_more_phases_than_were_bound_are_refused(student, tmp_path):
    with pytest.raises(ParamsError, match=r"phases\.2\.sources: expected one source or more; got none"):
        student(tmp_path, [*PHASES, Phase([GOLD], TRAINING)])


def test_inputs_without_rows_are_refused(student, world, tmp_path):
    inputs = tmp_path / "inputs"
    shutil.copytree(world.inputs, inputs)
    described = json.loads((inputs / "inputs.json").read_text())
    described["sources"][0]["rows"] = 0
    (inputs / "inputs.json").write_text(json.dumps(described))
    with pytest.raises(DataError, match="expected rows to train on; got none"):
        student(tmp_path, inputs=inputs)
