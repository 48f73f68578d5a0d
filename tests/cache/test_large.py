"""Caches of many rows: opened at once, read with flat memory, at a time a row that does not grow."""

import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import pipeline
from pipeline.cache import BACKENDS
from pipeline.cache.fill import fill
from pipeline.cache.plan import plan
from pipeline.cache.reader import TargetCache
from pipeline.cache.rows import RowTable
from pipeline.training.cache_dataset import CacheBatches, CacheDataset

KINDS = [name for name in BACKENDS.names() if not name.endswith("_zstd")]
COLUMNS = ["start_logits", "end_logits", "passage_offsets"]
BATCH = 64

# A reader of its own: what it leaves in memory is not mixed with the test's.
EPOCH = """
import gc, json, sys
from pathlib import Path
import numpy as np
from pipeline.cache.reader import TargetCache

def own():
    gc.collect()
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

cache = TargetCache.open(Path(sys.argv[1]))
order = np.random.default_rng(0).permutation(len(cache))
seen, sizes = 0, []
for number, start in enumerate(range(0, len(order), 64)):
    batch = cache.batch(order[start : start + 64], ["start_logits", "end_logits", "passage_offsets"])
    seen += len(batch["start_logits"])
    if number % 200 == 0:
        sizes.append(own())
print(json.dumps({"rows": seen, "kib": [*sizes, own()]}))
"""


def many_rows(count: int) -> RowTable:
    generator = np.random.default_rng(count)
    question = generator.integers(1, 5, count, dtype=np.int32)
    return RowTable(
        input_hash=generator.integers(0, 256, (count, 16), dtype=np.uint8),
        occurrence=np.zeros(count, np.int32),
        gold_hash=generator.integers(0, 256, (count, 16), dtype=np.uint8),
        length=question + generator.integers(2, 12, count, dtype=np.int32) + np.int32(2),
        question_length=question,
        split=np.zeros(count, np.int8),
        splits=("train",),
    )


def filled(filling: ModuleType, folder: Path, count: int, backend: str, shard_rows: int) -> RowTable:
    rows = many_rows(count)
    settings = filling.make_settings(
        fields={"span_logits": {}}, backend=backend, shard_rows=shard_rows, block_rows=1024
    )
    fill(plan(folder, rows, settings), filling.FakeTeacher(rows))
    return rows


def seconds_to_open(folder: Path) -> float:
    """The least of some tries, checksums remembered."""
    time.sleep(0.15)  # files touched just now are not remembered
    TargetCache.open(folder)
    took = []
    for _ in range(3):
        started = time.perf_counter()
        TargetCache.open(folder)
        took.append(time.perf_counter() - started)
    return min(took)


def kib_over_an_epoch(folder: Path, rows: int) -> list[int]:
    """The memory of a reader's own, without mapped files, along an epoch in random order."""
    done = subprocess.run(
        [sys.executable, "-c", EPOCH, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(pipeline.__file__).parents[1],
        env={**os.environ, "PYTHONPATH": "."},
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["rows"] == rows
    return list(told["kib"])


def assert_flat(kib: list[int]) -> None:
    # What the first batches leave (compiled code, the table of lengths) is no growth.
    assert max(kib[1:]) - kib[1] < 2048, kib


def assert_right(filling: ModuleType, folder: Path, rows: RowTable) -> None:
    """Some rows, from all over, are what the teacher says of each alone."""
    cache = TargetCache.open(folder)
    assert len(cache) == len(rows)
    some = np.random.default_rng(1).choice(len(rows), 300, replace=False)
    batch = cache.batch(some, ["start_logits"])
    teacher = filling.FakeTeacher(rows)
    for at, row in enumerate(some):
        values = teacher(np.array([row]), frozenset({"span_logits"}))["start_logits"].values
        assert np.array_equal(batch["start_logits"][at, : len(values)], values.astype(np.float16))
    found = cache.positions(rows.input_hash[some], rows.occurrence[some])
    assert np.array_equal(found, some)


def test_fifty_thousand_rows(filling: ModuleType, tmp_path: Path) -> None:
    rows = filled(filling, tmp_path / "cache", 50_000, "arrow", shard_rows=4096)
    assert_right(filling, tmp_path / "cache", rows)
    assert_flat(kib_over_an_epoch(tmp_path / "cache", len(rows)))


@pytest.mark.slow
@pytest.mark.parametrize("backend", KINDS)
def test_a_million_rows(filling: ModuleType, tmp_path: Path, backend: str) -> None:
    rows = filled(filling, tmp_path / "large", 1_000_000, backend, shard_rows=16_384)
    filled(filling, tmp_path / "small", 10_000, backend, shard_rows=16_384)
    assert_right(filling, tmp_path / "large", rows)
    assert_flat(kib_over_an_epoch(tmp_path / "large", len(rows)))
    assert seconds_to_open(tmp_path / "large") < 1.0
    small, large = (TargetCache.open(tmp_path / name) for name in ("small", "large"))
    # Work a row does not grow. In random order what a small cache keeps near the processor comes from memory
    # here, which no layout of rows as small as these can hide; still it must not grow with their number.
    assert ratio_of_times(small, large, in_order) < 1.2
    assert ratio_of_times(small, large, at_random) < 4
    # As a training loop reads them, the order of the epoch and torch's tensors included.
    assert ratio_of_epochs(tmp_path / "small", tmp_path / "large") < 1.35


def in_order(cache: TargetCache, seed: int) -> list[np.ndarray]:
    """100 batches from somewhere in the cache on."""
    first = int(np.random.default_rng(seed).integers(0, len(cache) - 100 * BATCH))
    return [np.arange(start, start + BATCH) for start in range(first, first + 100 * BATCH, BATCH)]


def at_random(cache: TargetCache, seed: int) -> list[np.ndarray]:
    """100 batches of rows from all over the cache."""
    return list(np.random.default_rng(seed).permutation(len(cache))[: 100 * BATCH].reshape(100, BATCH))


def ratio_of_epochs(small: Path, large: Path) -> float:
    """How much longer a row of the large cache takes, of medians of shuffled epochs."""
    took: dict[Path, list[float]] = {small: [], large: []}
    datasets = {path: CacheDataset(path, ("start_logits", "end_logits")) for path in took}
    for number in range(4):
        for path, dataset in datasets.items():
            for epoch in range(10 if path == small else 1):
                batches = CacheBatches(dataset, batch_size=32)
                batches.start_at(10 * number + epoch)
                started = time.perf_counter()
                for ticket in batches:
                    dataset.__getitems__(ticket)
                if number:  # pages are warm by then
                    took[path].append((time.perf_counter() - started) / len(dataset))
    return statistics.median(took[large]) / statistics.median(took[small])


def ratio_of_times(
    small: TargetCache,
    large: TargetCache,
    batches_of: Callable[[TargetCache, int], list[np.ndarray]],
    rounds: int = 40,
) -> float:
    """How much longer a row of the large cache takes, warm: of medians of interleaved rounds."""
    took: tuple[list[float], list[float]] = ([], [])
    for cache in (small, large):
        cache.batch(np.arange(len(cache)), COLUMNS)  # warm: every page was touched
    gc.disable()
    try:
        for number in range(rounds):
            for cache, times in zip((small, large), took, strict=True):
                batches = batches_of(cache, number)
                started = time.perf_counter()
                for batch in batches:
                    cache.batch(batch, COLUMNS)
                times.append(time.perf_counter() - started)
    finally:
        gc.enable()
    return statistics.median(took[1]) / statistics.median(took[0])
