import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.cache.reader import TargetCache
from pipeline.errors import CacheError, DataError, MismatchError, ModelError
from pipeline.files import read_json
from pipeline.fingerprint import input_hash
from pipeline.inference import cache_targets as cache_targets_module
from pipeline.inference.cache_targets import cache_targets, plan_targets, repair_targets
from pipeline.inference.checkpoint import reference
from pipeline.inference.live import LiveTargets
from pipeline.inference.teacher import SpanTeacher
from pipeline.text.tokenizers import Encoder

FIELDS = {
    "span_logits": {"dtype": "float32"},
    "top_spans": {"k": 4},
    "qa_attention": {"layer": -2, "dtype": "float32"},
}
LIMITS = {"max_length": 90, "max_question_tokens": 16}


@pytest.fixture
def made_with(teacher_folder, passage_folder, passages):
    rows = passages(30)
    # Row 3 again: the teacher must read it once.
    folder = passage_folder(train=[*rows[:20], rows[3]], dev=rows[20:])
    return {
        "teacher": teacher_folder,
        "passages": folder,
        "splits": ["train", "dev"],
        "fields": FIELDS,
        "batch_tokens": 500,
        **LIMITS,
    }


@pytest.fixture
def cached(made_with, tmp_path):
    def run(**changes):
        return cache_targets(tmp_path / "set", manifest_out=tmp_path / "set.json", **{**made_with, **changes})

    return run


def files(folder: Path, *, provenance: bool = False) -> dict[str, bytes]:
    """Every file of a cache but what tells one run from another."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and (provenance or path.name not in {"provenance.jsonl", "seal.json"})
    }


def test_says_what_it_did(cached, tmp_path):
    summary = cached()
    assert summary["rows"] == 31
    assert summary["unique_inputs"] == summary["inputs_read"] == 30
    assert summary["bytes"] == sum(
        len(data) for name, data in files(tmp_path / "set").items() if name != "manifest.json"
    )
    assert summary["tokens_read"] > 0
    assert 0 <= summary["padding_waste"] < 1
    identity = read_json(tmp_path / "set.json")
    assert identity["set"] == "set"
    assert identity["rows"] == 31
    assert set(identity["identity"]) == {"tokens", *FIELDS}


def test_provenance_says_where_the_numbers_come_from(cached, tmp_path):
    cached()
    line = json.loads((tmp_path / "set" / "provenance.jsonl").read_text())
    assert line["inputs_read"] == 30
    assert set(line["run"]) == {"device", "threads", "torch", "transformers", "tokenizers", "revision"}


def test_cached_is_live(cached, tmp_path, teacher_folder, passages):
    cached()
    rows = passages(30)
    encoder = Encoder.open(teacher_folder)
    teacher = SpanTeacher.open(teacher_folder, max_length=90, fields=FIELDS, batch_tokens=77)
    live = LiveTargets(teacher, encoder, rows, **LIMITS)
    cache = TargetCache.open(tmp_path / "set")
    chosen = [rows[at] for at in (29, 3, 0, 11)]
    hashes, occurrences = [input_hash(row.question, row.text) for row in chosen], [0] * 4
    columns = [
        "start_logits", "end_logits", "top_starts", "top_ends", "top_log_probs",
        "qa_attention", "passage_offsets", "question_offsets",
    ]  # fmt: skip
    expected = cache.batch(cache.positions(hashes, occurrences), columns)
    got = live.batch(live.positions(hashes, occurrences), columns)
    assert set(got) == set(expected) == {*columns, "passage_length", "question_length", "span_length"}
    for name in expected:
        assert got[name].dtype == expected[name].dtype, name
        np.testing.assert_allclose(got[name], expected[name], atol=1e-5, err_msg=name)


def test_live_targets_name_a_row_that_is_not_theirs(teacher_folder, passages):
    teacher = SpanTeacher.open(teacher_folder, max_length=90, fields=FIELDS)
    live = LiveTargets(teacher, Encoder.open(teacher_folder), passages(3), **LIMITS)
    with pytest.raises(MismatchError, match="expected row abababab"):
        live.positions([b"\xab" * 16], [0])


def test_a_second_run_loads_no_model_and_changes_no_byte(cached, tmp_path, monkeypatch):
    cached()
    before = files(tmp_path / "set", provenance=True)
    monkeypatch.setattr(SpanTeacher, "open", forbidden)
    summary = cached()
    assert summary["inputs_read"] == 0
    assert "rows_per_s" not in summary
    assert files(tmp_path / "set", provenance=True) == before


def forbidden(*args, **kwargs):
    raise AssertionError("the teacher was loaded")


def test_planning_loads_no_model_and_writes_nothing(made_with, tmp_path, monkeypatch):
    monkeypatch.setattr(SpanTeacher, "open", forbidden)
    planned = plan_targets(tmp_path / "set", **made_with)
    assert planned.pending_rows == 30
    assert planned.missing_bytes > 0
    assert not (tmp_path / "set").exists()


def test_a_new_field_leaves_the_others_as_they_are(cached, tmp_path):
    cached(fields={"span_logits": {"dtype": "float32"}})
    before = files(tmp_path / "set")
    cached()
    after = files(tmp_path / "set")
    shards = [name for name in before if name.startswith("shards/")]
    assert shards
    assert all(after[name] == before[name] for name in shards)
    assert {name.split("/")[1] for name in after if name.startswith("shards/")} == {"tokens", *FIELDS}


def test_another_teacher_at_the_same_path_gives_other_keys(make_teacher, cached, made_with, tmp_path):
    folder = make_teacher(tmp_path / "teacher")
    cached(teacher=folder)
    before = read_json(tmp_path / "set.json")
    make_teacher(folder, scale=2.0)
    planned = plan_targets(tmp_path / "set", **{**made_with, "teacher": folder})
    assert planned.pending_rows == 30
    assert all(not field.kept for field in planned.fields.values())
    cached(teacher=folder)
    after = read_json(tmp_path / "set.json")
    assert all(before["identity"][name] != after["identity"][name] for name in before["identity"])


def test_a_referenced_teacher_gives_the_keys_of_the_checkpoint(teacher_folder, cached, made_with, tmp_path):
    reference(tmp_path / "referenced", str(teacher_folder))
    cached(teacher=tmp_path / "referenced")
    assert plan_targets(tmp_path / "set", **made_with).pending_rows == 0


def test_a_referenced_teacher_that_changed_stops_before_anything_is_read(make_teacher, cached, tmp_path):
    folder = make_teacher(tmp_path / "checkpoint")
    reference(tmp_path / "referenced", str(folder))
    make_teacher(folder, scale=2.0)
    with pytest.raises(ModelError, match="the checkpoint has changed"):
        cached(teacher=tmp_path / "referenced")
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    "change",
    [{"max_length": 60}, {"max_question_tokens": 3}, {"autocast": "bfloat16"}, {"batch_tokens": 501}],
)
def test_settings_that_change_numbers_change_keys(cached, made_with, tmp_path, change):
    cached()
    planned = plan_targets(tmp_path / "set", **{**made_with, **change})
    assert all(not field.kept for field in planned.fields.values())


def test_a_mended_label_re_reads_nothing(cached, made_with, tmp_path, passages, passage_folder):
    cached()
    rows = passages(30)
    rows = [*rows[:20], rows[3], *rows[20:]]
    unlabelled = passages(30, unlabelled=30)
    passage_folder(train=[*unlabelled[:20], rows[3]], dev=rows[21:])
    assert plan_targets(tmp_path / "set", **made_with).pending_rows == 0


def test_repair_computes_the_damaged_shard_and_no_other(cached, made_with, tmp_path):
    cached()
    before = files(tmp_path / "set")
    damaged = next(name for name in before if name.startswith("shards/top_spans/"))
    flipped = bytearray(before[damaged])
    flipped[len(flipped) // 2] ^= 1
    (tmp_path / "set" / damaged).write_bytes(flipped)
    times = {name: (tmp_path / "set" / name).stat().st_mtime_ns for name in before if name != damaged}
    summary = repair_targets(tmp_path / "set", manifest_out=tmp_path / "set.json", **made_with)
    assert summary["inputs_read"] == 30
    assert files(tmp_path / "set") == before
    kept = [name for name in times if name.startswith("shards/")]
    assert all((tmp_path / "set" / name).stat().st_mtime_ns == times[name] for name in kept)


def test_repair_with_other_settings_is_refused(cached, made_with, tmp_path):
    cached()
    changed = {**made_with, "max_length": 60}
    with pytest.raises(MismatchError, match="run cache_targets"):
        repair_targets(tmp_path / "set", manifest_out=tmp_path / "set.json", **changed)


def test_a_budget_stops_before_the_first_row(cached, tmp_path, monkeypatch):
    monkeypatch.setattr(SpanTeacher, "open", forbidden)
    with pytest.raises(CacheError, match="the budget"):
        cached(budget_gb=1e-6)
    assert not (tmp_path / "set").exists()


def test_a_missing_split_is_named(cached):
    with pytest.raises(DataError, match=r"nosuch\.arrow"):
        cached(splits=["nosuch"])


SMALL_SHARDS = {"shard_rows": 16, "block_rows": 4}

KILLED = """
import json, sys
from functools import partial
from pathlib import Path
from pipeline.inference import cache_targets as module
made = json.loads(sys.argv[1])
made |= {name: Path(made[name]) for name in ("teacher", "passages")}
module.CacheSettings = partial(module.CacheSettings, **json.loads(sys.argv[3]))
module.cache_targets(Path(sys.argv[2]), manifest_out=Path(sys.argv[2] + ".json"), **made)
"""


def start(made_with, out: Path) -> subprocess.Popen:
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in made_with.items()}
    return subprocess.Popen(
        [sys.executable, "-c", KILLED, json.dumps(plain), str(out), json.dumps(SMALL_SHARDS)],
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.parametrize(
    "kills", [[10], pytest.param([1, 2, 3, 20, 21, 40], marks=pytest.mark.slow)], ids=["once", "often"]
)
def test_a_killed_fill_started_again_is_byte_identical(
    made_with, cached, tmp_path, passages, passage_folder, monkeypatch, kills
):
    small = partial(cache_targets_module.CacheSettings, **SMALL_SHARDS)
    monkeypatch.setattr(cache_targets_module, "CacheSettings", small)
    passage_folder(train=passages(240, seed=5), dev=passages(1))
    cached()
    expected = files(tmp_path / "set")
    out = tmp_path / "killed"
    for shards in kills:
        process = start(made_with, out)
        while process.poll() is None and len(list(out.glob("shards/*/*.arrow"))) < shards:
            time.sleep(0.002)
        assert process.poll() is None, "it ended before it could be killed"
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert shards <= len(list(out.glob("shards/*/*.arrow"))) < len(expected) - 2
    cache_targets(out, manifest_out=tmp_path / "killed.json", **made_with)
    assert files(out) == expected
    assert read_json(tmp_path / "killed.json")["identity"] == read_json(tmp_path / "set.json")["identity"]
