"""A student of two tasks, drawn batch by batch, with a match of its encoder: kills, ranks, one batch."""

import json
import signal

import pytest
import torch
from safetensors.torch import load_file

from pipeline.training.phase import Phase

SPANS, KINDS = "made_up.train", "made_up.kinds"
MATCH = {"loss": "hidden_mse", "from": "other", "teacher_layer": 1, "student_layer": 1}
TERMS = [
    {"loss": "gold", "student": "answer", "sources": [SPANS]},
    {"loss": "kd_kl", "from": "teacher", "student": "answer", "temperature": 2.0, "sources": [SPANS]},
    {"loss": "gold", "student": "kind", "sources": [KINDS]},
    {"loss": "kd_kl", "from": "other", "student": "kind", "sources": [KINDS]},
    {**MATCH, "projection": {"kind": "linear", "in": 16, "out": 16}, "sources": [KINDS]},
]
NAMES = ["gold_answer", "kd_kl_answer", "gold_kind", "kd_kl_kind", "hidden_mse"]
TRAINING = {
    "num_train_epochs": 2,
    "per_device_train_batch_size": 4,
    "learning_rate": 1e-2,
    "save_steps": 2,
    "logging_steps": 1,
    "use_cpu": True,
}
# 22 + 9 rows in batches of 4: 6 + 3 steps an epoch.
PHASES = [Phase(TERMS, TRAINING, name="both", tau=0.5)]
SGD = {"optim": "sgd", "learning_rate": 0.1, "max_steps": 8}
# No dropout, which draws other numbers for batches of other sizes.
STILL = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


@pytest.fixture(scope="module")
def inputs(world, write_inputs_of, input_source):
    described = json.loads((world.inputs / "inputs.json").read_text())
    identity = described["sources"][0]["targets"]["teacher"]["identity"]
    head = {"datasets": ["made_up"], "outputs": None}
    return write_inputs_of(
        input_source(0, "train", world.rows, identity),
        input_source(0, "kinds", world.rows[:9], {}, alias="other", seed=1, task="classification"),
        heads={
            "answer": {**head, "task": "span", "classes": []},
            "kind": {**head, "task": "classification", "classes": ["one", "other", "third"]},
        },
    )


def logged(folder):
    entries = [json.loads(line) for line in (folder / "training_log.jsonl").read_text().splitlines()]
    return [entry for entry in entries if "loss" in entry]


def test_every_batch_teaches_one_head(uninterrupted):
    entries = logged(uninterrupted)
    assert len(entries) == 18
    soft = ("kd_kl_answer", "kd_kl_kind", "hidden_mse")  # no row may be labelled
    drawn = {tuple(entry[name] > 0 for name in soft) for entry in entries}
    assert drawn == {(True, False, False), (False, True, True)}
    assert not [name for name in load_file(uninterrupted / "model.safetensors") if "projection" in name]


def test_a_killed_run_ends_with_the_same_bytes(
    inputs, make_order, run, files, student, uninterrupted, tmp_path
):
    # In the second epoch, one step after a checkpoint.
    killed = make_order(inputs, tmp_path, PHASES, kill_at_step=11, kill_in="both")
    assert run(killed) == [-signal.SIGKILL]
    student(tmp_path)
    assert files(tmp_path / "student") == files(uninterrupted)


def test_two_ranks_go_where_one_goes_a_kill_included(
    inputs, make_order, ranks, run, student, shape, tmp_path
):
    """All rows of a source in one batch, or half of them on each rank."""

    def phases(batch_size):
        changes = {"per_device_train_batch_size": batch_size, "gradient_accumulation_steps": 2}
        return [Phase(TERMS, {**TRAINING, **changes, **SGD}, name="both", tau=0.5)]

    student(tmp_path / "one", phases(22), options={**shape, **STILL})
    order = make_order(inputs, tmp_path / "two", phases(11), options=STILL, note_rows=str(tmp_path / "rows"))
    statuses = run(*ranks({**order, "kill_at_step": 5, "kill_in": "both"}))
    assert -signal.SIGKILL in statuses
    assert 0 not in statuses
    assert run(*ranks(order)) == [0, 0]
    one, two = (load_file(tmp_path / name / "student/model.safetensors") for name in ("one", "two"))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=1e-5, msg=name)
    for alone, together in zip(
        *(logged(tmp_path / name / "student") for name in ("one", "two")), strict=True
    ):
        assert {name: together[name] for name in NAMES} == pytest.approx(
            {name: alone[name] for name in NAMES}, rel=1e-3
        )
    assert {entry["gold_kind"] > 0 for entry in logged(tmp_path / "two/student")} == {True, False}
