"""Phases of several sources: every row counted, kills, ranks, and targets that only some sources have."""

import json
import shutil
import signal
from collections import Counter
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pipeline.errors import ParamsError
from pipeline.training.phase import Phase

TRAIN, MORE = "made_up.train", "made_up.more"
TERMS = [{"loss": "gold"}, {"loss": "kd_kl", "from": "teacher", "temperature": 2.0, "sources": [TRAIN]}]
TRAINING = {
    "num_train_epochs": 2,
    "per_device_train_batch_size": 4,
    "learning_rate": 1e-2,
    "save_steps": 2,
    "logging_steps": 2,
    "use_cpu": True,
}
# 22 + 9 rows in batches of 4: 8 steps an epoch in one order, 6 + 3 where sources are drawn.
PHASES = [
    Phase(TERMS, TRAINING, name="together"),
    Phase(TERMS[::-1], {**TRAINING, "learning_rate": 3e-3}, name="drawn", tau=0.5),
]


@pytest.fixture(scope="module")
def inputs(world, write_inputs_of, input_source):
    """In both phases a source with a teacher and one without; the second phase reads other tokens."""
    described = json.loads((world.inputs / "inputs.json").read_text())
    identity = described["sources"][0]["targets"]["teacher"]["identity"]
    rows = world.rows
    return write_inputs_of(
        input_source(0, "train", rows, identity),
        input_source(0, "more", rows[:9], {}, alias=None, seed=1),
        input_source(1, "train", rows, identity, seed=2),
        input_source(1, "more", rows[5:14], {}, alias=None, seed=3),
    )


def test_kills_in_each_phase_and_epoch_change_no_byte(
    inputs, make_order, run, files, student, uninterrupted, tmp_path
):
    # The first epoch of a first phase is killed in test_train.py.
    kills = [
        {"kill_at_step": 11, "kill_in": "together"},
        {"kill_at_step": 3, "kill_in": "drawn"},
        {"kill_at_step": 13, "kill_in": "drawn"},
    ]
    folders = [tmp_path / str(number) for number in range(len(kills))]
    orders = [make_order(inputs, folder, PHASES, **kill) for folder, kill in zip(folders, kills, strict=True)]
    assert run(*orders) == [-signal.SIGKILL] * len(kills)
    for folder in folders:
        student(folder)
        assert files(folder / "student") == files(uninterrupted)


def test_logs_and_summary_name_phases_and_sources(uninterrupted):
    log = [json.loads(line) for line in (uninterrupted / "training_log.jsonl").read_text().splitlines()]
    assert [(entry["phase"], entry["name"], entry["step"]) for entry in log] == [
        *((0, "together", step) for step in range(2, 17, 2)),
        *((1, "drawn", step) for step in range(2, 19, 2)),
    ]
    summary = json.loads((uninterrupted / "summary.json").read_text())
    assert [phase["name"] for phase in summary["phases"]] == ["together", "drawn"]
    sources = [{"source": TRAIN, "rows": 22}, {"source": MORE, "rows": 9}]
    assert [phase["sources"] for phase in summary["phases"]] == [sources, sources]
    assert [phase["rows"] for phase in summary["phases"]] == [31, 31]


def noted(*paths):
    return [json.loads(line) for path in paths for line in Path(path).read_text().splitlines()]


def test_two_ranks_count_every_row_of_every_source_and_draw_alike(
    inputs, make_order, ranks, run, tmp_path, world
):
    phases = [
        Phase(
            phase.terms,
            {**TRAINING, "per_device_train_batch_size": 2, "num_train_epochs": 3},
            phase.name,
            phase.tau,
        )
        for phase in PHASES
    ]
    killed, resumed = tmp_path / "killed", tmp_path / "resumed"
    order = make_order(inputs, tmp_path, phases)
    # In global batches of 4. Killed in epoch 1 of the second phase, one step after a checkpoint.
    statuses = run(*ranks({**order, "note_rows": str(killed), "kill_at_step": 13, "kill_in": "drawn"}))
    assert -signal.SIGKILL in statuses
    assert 0 not in statuses
    assert run(*ranks({**order, "note_rows": str(resumed)})) == [0, 0]

    of_ranks = []
    for rank in (0, 1):
        before = [
            entry for entry in noted(f"{killed}{rank}") if entry["phase"] == "together" or entry["step"] < 12
        ]
        of_ranks.append(before + noted(f"{resumed}{rank}"))
    # Both ranks do the same steps; the drawn ones each of a single source.
    for first, second in zip(*of_ranks, strict=True):
        assert all(first[key] == second[key] for key in ("phase", "epoch", "step"))
        if first["phase"] == "drawn":
            assert first["sources"] == second["sources"]
            assert len(first["sources"]) == 1
    entries = [entry for of_rank in of_ranks for entry in of_rank]
    for epoch in range(3):
        counts = Counter(
            row
            for entry in entries
            if entry["phase"] == "together" and entry["epoch"] == epoch
            for row in entry["rows"]
        )
        assert set(counts.values()) == {1}
        assert len(counts) == 31
    for source, rows in ((0, 22), (1, 9)):
        counts = Counter(
            row
            for entry in entries
            if entry["phase"] == "drawn" and entry["sources"] == [source]
            for row in entry["rows"]
        )
        assert len(counts) == rows
        assert max(counts.values()) - min(counts.values()) <= 1
    assert sum(entry["phase"] == "drawn" for entry in of_ranks[0]) == 27


def test_cached_targets_of_several_sources_train_as_live_ones(world, student, uninterrupted, tmp_path):
    student(tmp_path, targets={"made_up": world.cache})
    mine, theirs = (
        load_file(folder / "model.safetensors") for folder in (tmp_path / "student", uninterrupted)
    )
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_a_source_without_the_target_of_a_term_is_named(student, tmp_path):
    term = {"loss": "kd_kl", "from": "teacher"}
    with pytest.raises(ParamsError, match=r"called 'teacher'; got \[\] of made_up\.more"):
        student(tmp_path, [Phase([term], TRAINING), PHASES[1]])


def test_one_alias_is_not_a_mix_here_and_a_set_there(student, inputs, tmp_path):
    changed = tmp_path / "inputs"
    shutil.copytree(inputs, changed)
    described = json.loads((changed / "inputs.json").read_text())
    described["sources"][1]["mixes"] = {
        "teacher": {"mean": "mean_logits", "weights": [1.0], "confusing_rows": 0}
    }
    (changed / "inputs.json").write_text(json.dumps(described))
    with pytest.raises(ParamsError, match=r"phases\.0\.sources: expected 'teacher' to be the same mix"):
        student(tmp_path, inputs=changed)
