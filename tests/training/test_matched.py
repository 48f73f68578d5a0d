"""Matches with projections through `train`: over ranks, killed and resumed, refused where they do not fit."""

import json
import signal

import pytest
import torch
from safetensors.torch import load_file

from pipeline.errors import ParamsError
from pipeline.training.phase import Phase

WIDTH = 24
HIDDEN = {
    "loss": "hidden_mse",
    "from": "teacher",
    "teacher_layer": 2,
    "student_layer": 1,
    "projection": {"kind": "linear", "in": 16, "out": WIDTH, "learning_rate": 0.5},
}
TERMS = [
    {"loss": "gold"},
    {"loss": "kd_kl", "from": "teacher", "temperature": 2.0},
    HIDDEN,
    {"loss": "nst", "from": "teacher", "teacher_layer": 2, "student_layer": 1},
]
TRAINING = {
    "max_steps": 4,
    "per_device_train_batch_size": 8,
    "learning_rate": 0.1,
    "optim": "sgd",
    "save_steps": 2,
    "logging_steps": 1,
    "use_cpu": True,
}
# The second phase teaches the embeddings alone, from all 22 rows at once: most parameters get no gradient.
ALL = {**TRAINING, "per_device_train_batch_size": 22}
PHASES = [Phase(TERMS, TRAINING), Phase([{**HIDDEN, "student_layer": 0}], ALL)]
# Batches of other sizes would draw other numbers.
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


@pytest.fixture(scope="module")
def options(shape):
    return {**shape, **NO_DROPOUT}


@pytest.fixture(scope="module")
def inputs(world, write_inputs_of, input_source):
    """Two phases, each of a teacher whose layer 2 is cached too."""
    options = {"hidden_states_2": {"width": WIDTH}}
    return write_inputs_of(
        *(input_source(phase, "train", world.rows, {}, options=options) for phase in range(2))
    )


def log(folder):
    return [json.loads(line) for line in (folder / "training_log.jsonl").read_text().splitlines()]


def test_two_ranks_are_one(inputs, make_order, ranks, run, uninterrupted, tmp_path):
    sizes = [
        {"per_device_train_batch_size": 4},
        {"per_device_train_batch_size": 6, "gradient_accumulation_steps": 2},
    ]
    phases = [Phase(phase.terms, {**TRAINING, **size}) for phase, size in zip(PHASES, sizes, strict=True)]
    order = make_order(inputs, tmp_path, phases, options=NO_DROPOUT, note_rows=str(tmp_path / "rows"))
    assert run(*ranks(order)) == [0, 0]
    assert len(log(uninterrupted)) == 8
    for two, one in zip(log(tmp_path / "student"), log(uninterrupted), strict=True):
        assert two == pytest.approx(one, rel=1e-4, abs=1e-5)
    two, one = (load_file(folder / "model.safetensors") for folder in (tmp_path / "student", uninterrupted))
    for name, values in one.items():
        torch.testing.assert_close(two[name], values, rtol=1e-4, atol=1e-5, msg=name)


def test_projections_are_gone_on_with_and_not_published(
    inputs, make_order, run, files, student, uninterrupted, tmp_path
):
    # One step after a checkpoint of either phase.
    for step, phase in ((3, "0"), (3, "1")):
        order = make_order(
            inputs, tmp_path, PHASES, options=NO_DROPOUT, kill_at_step=step, kill_in=f"phase {phase}"
        )
        assert run(order) == [-signal.SIGKILL]
    (checkpoint,) = (tmp_path / "work" / "phase-1").glob("checkpoint-*")
    saved = load_file(checkpoint / "model.safetensors")
    assert {"projections.0.weight", "projections.0.bias"} < saved.keys()
    student(tmp_path)
    assert files(tmp_path / "student") == files(uninterrupted)
    assert not [name for name in load_file(uninterrupted / "model.safetensors") if "projection" in name]


def test_what_does_not_fit_is_all_named_before_any_work(student, tmp_path):
    narrow = {**HIDDEN, "projection": {"kind": "linear", "in": 12, "out": 20}}
    unprojected = {name: value for name, value in HIDDEN.items() if name != "projection"}
    terms = [{**HIDDEN, "student_layer": 2}, narrow, unprojected]
    with pytest.raises(ParamsError) as caught:
        student(tmp_path, [PHASES[0], Phase(terms, TRAINING)])
    for problem in (
        "student_layer: expected layers from 0 to 1, for the student has 1 blocks; got 2",
        "projection.in: expected 16, the student's width; got 12",
        "projection.out: expected 24, the teacher's width; got 20",
        "projection: the student is 16 wide and the teacher 24",
    ):
        assert f"phases.1.terms: hidden_mse: {problem}" in str(caught.value)
    assert not (tmp_path / "student").exists()
