"""Fills that are killed, or that run beside one another, in every kind of file."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import pipeline
from pipeline.cache import BACKENDS
from pipeline.cache.convert import convert
from pipeline.cache.fill import fill
from pipeline.cache.gc import gc
from pipeline.cache.lock import locked
from pipeline.cache.plan import plan
from pipeline.cache.reader import TargetCache
from pipeline.cache.remote import pull, push
from pipeline.cache.remove import remove, remove_field
from pipeline.cache.verify import verify
from pipeline.errors import LockedError

# Archives are written by the same code.
KINDS = [name for name in BACKENDS.names() if not name.endswith("_zstd")]


def in_children(folder: Path, backend: str, kills: int, seed: int) -> dict[str, list[object]]:
    script = Path(__file__).with_name("filling.py")
    done = subprocess.run(
        [sys.executable, str(script), str(folder), backend, str(kills), str(seed)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(pipeline.__file__).parents[1],
        env={**os.environ, "PYTHONPATH": "."},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def contents(folder: Path) -> dict[str, str]:
    """What every file holds, but for the facts of runs."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file() and file.name not in {"provenance.jsonl", "seal.json"}
    }


def assert_all_said(filling: ModuleType, folder: Path) -> None:
    """Every row is there once, with what the teacher says of it alone."""
    rows = filling.make_rows(filling.KILLED_NAMES)
    cache = TargetCache.open(folder)
    assert np.array_equal(cache.rows.input_hash, rows.input_hash)
    batch = cache.batch(np.arange(len(rows)), ["start_logits", "top_log_probs"])
    teacher = filling.FakeTeacher(rows)
    for at in range(len(rows)):
        alone = teacher(np.array([at]), frozenset({"span_logits", "top_spans"}))
        for name, axis in (("start_logits", "passage"), ("top_log_probs", "span")):
            values = alone[name].values
            assert batch[f"{axis}_length"][at] == len(values)
            assert np.array_equal(batch[name][at, : len(values)], values.astype(batch[name].dtype))


def kill_again_and_again(filling: ModuleType, folder: Path, backend: str, kills: int, seed: int) -> None:
    told = in_children(folder, backend, kills, seed)
    assert told["killed"] == kills
    assert_all_said(filling, folder / "whole")
    # Of two at once, the second is refused, or waits and finds all done.
    assert told["refusing"] == [0, filling.REFUSED]
    assert told["waiting"] == [0, 0]
    for name in [*told["caches"], "refusing", "waiting"]:
        assert contents(folder / str(name)) == contents(folder / "whole")
        assert verify(folder / str(name)) == []
    for name in ("refusing", "waiting"):
        lines = (folder / name / "provenance.jsonl").read_text().splitlines()
        assert [json.loads(line)["inputs_read"] for line in lines] == [190]


@pytest.mark.parametrize("backend", KINDS)
def test_killed_and_competing_fills_end_in_the_same_bytes(
    filling: ModuleType, tmp_path: Path, backend: str
) -> None:
    kill_again_and_again(filling, tmp_path, backend, kills=3, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "kills"), [("arrow", 66), ("hdf5", 67), ("zarr", 67)])
def test_two_hundred_kills(filling: ModuleType, tmp_path: Path, backend: str, kills: int) -> None:
    kill_again_and_again(filling, tmp_path, backend, kills, seed=1)


OTHERS: dict[str, Callable[[Path, Path], object]] = {
    "gc": lambda folder, _: gc(folder),
    "rm": lambda folder, _: remove(folder),
    "rm of a field": lambda folder, _: remove_field(folder, "span_logits"),
    "convert": lambda folder, other: convert(other, folder, "arrow"),
    "pull": lambda folder, other: pull(f"file://{other}", folder),
}


@pytest.mark.parametrize("what", OTHERS)
def test_nothing_else_writes_beside_a_fill(
    filling: ModuleType, sealed: Path, tmp_path: Path, what: str
) -> None:
    other = Path(shutil.copytree(sealed, tmp_path / "other"))
    before = contents(sealed)
    rows = filling.make_rows([*(f"row {at % 95}" for at in range(100)), "new"])
    honest = filling.FakeTeacher(rows)
    tried = []

    def disturbed(asked: np.ndarray, fields: frozenset[str]) -> dict[str, object]:
        with pytest.raises(LockedError, match="wait for it to end"):
            OTHERS[what](sealed, other)
        tried.append(what)
        return honest(asked, fields)

    fill(plan(sealed, rows, filling.make_settings()), disturbed)
    assert tried
    assert verify(sealed) == []
    shards = {name: value for name, value in before.items() if name.startswith("shards")}
    assert shards.items() <= contents(sealed).items()


def test_a_fill_waits_for_nothing_else_unless_told(filling: ModuleType, sealed: Path) -> None:
    rows = filling.make_rows(["row 0"])
    planned = plan(sealed, rows, filling.make_settings())
    before = contents(sealed)
    with locked(sealed), pytest.raises(LockedError):
        fill(planned, filling.FakeTeacher(rows))
    assert contents(sealed) == before


def test_sending_changes_nothing_and_needs_no_lock(sealed: Path, tmp_path: Path) -> None:
    with locked(sealed):
        push(sealed, f"file://{tmp_path}/remote")
    assert contents(tmp_path / "remote") == contents(sealed)
