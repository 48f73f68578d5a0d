"""How fast rows come from a cache that is larger than memory: shuffled, against in their order.

A pass begins with none of the cache's pages in memory, and a shuffled one announces its rows as a training
stream does. That the bytes came from the disk is checked by what the process read of it.
"""

import gc
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import psutil

from benchmarks.pairs import Pair, Ratio, UnmeasurableError
from benchmarks.synthetic import COLUMNS, FIELDS, Targets
from pipeline.cache.manifest import load_manifest
from pipeline.cache.reader import TargetCache
from pipeline.training.cache_dataset import CacheBatches, CacheDataset

NUM_ROWS = 60_000
BATCH = 32
# Pages at the ends of files may be spared.
_FROM_DISK = 0.9

Pass = Callable[[Path], float]


def in_order(path: Path) -> float:
    """Seconds for all rows in their order, with the kernel's own reading ahead."""
    with _from_disk(path):
        cache = TargetCache.open(path, announced=False)
        started = time.perf_counter()
        for start in range(0, len(cache), BATCH):
            cache.batch(np.arange(start, min(start + BATCH, len(cache))), tuple(COLUMNS))
        return time.perf_counter() - started


def shuffled(path: Path) -> float:
    """Seconds for an epoch, its rows announced; the files have been hashed before on this machine."""
    with _from_disk(path):
        return _epoch(CacheDataset(path, tuple(COLUMNS), announced=True))


def first(path: Path) -> float:
    """Seconds for the first epoch on this machine: every file is hashed, then read as by `shuffled`."""
    with tempfile.TemporaryDirectory() as home, _stamps_in(home):
        started = time.perf_counter()
        _epoch(CacheDataset(path, tuple(COLUMNS), announced=True))
        return time.perf_counter() - started


def _epoch(dataset: CacheDataset) -> float:
    started = time.perf_counter()
    for ticket in CacheBatches(dataset, batch_size=BATCH):
        dataset.cache.batch(ticket[0], dataset.columns)
    return time.perf_counter() - started


@contextmanager
def _from_disk(path: Path) -> Iterator[None]:
    """Refuse a pass, opening included, that found its pages in memory."""
    fields = load_manifest(path).fields
    expected = sum(shard.bytes for name in FIELDS for shard in fields[name].shards)
    process = psutil.Process()
    before = process.io_counters().read_bytes
    yield
    read = process.io_counters().read_bytes - before
    if read < _FROM_DISK * expected:
        raise UnmeasurableError(f"only {read:,} of {expected:,} bytes came from the disk")


@contextmanager
def _stamps_in(home: str) -> Iterator[None]:
    """No checksum is remembered in the block."""
    kept = os.environ.get("COLDBREW_CACHE")
    os.environ["COLDBREW_CACHE"] = home
    try:
        yield
    finally:
        del os.environ["COLDBREW_CACHE"]
        if kept is not None:
            os.environ["COLDBREW_CACHE"] = kept


def _evicted(folder: Path) -> None:
    """Have the kernel drop the pages of all files; those that are mapped would stay."""
    gc.collect()
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fdatasync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(ours: Pass, pairs: int, num_rows: int = NUM_ROWS) -> Iterator[Pair]:
    """One kind of pass against one in order."""
    if not hasattr(os, "posix_fadvise"):
        raise UnmeasurableError("this system cannot be told to drop pages of files")
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "cache"
        Targets(num_rows).write_cache(path)
        time.sleep(0.2)  # files touched a moment ago are not trusted to be as they were
        TargetCache.open(path)
        for number in range(pairs + 1):
            seconds: dict[Pass, float] = {}
            for kind in (ours, in_order) if number % 2 else (in_order, ours):
                _evicted(path)
                seconds[kind] = kind(path)
            if number:  # the first compiles
                yield seconds[ours], seconds[in_order]


RATIOS = tuple(
    Ratio(
        name=name,
        ours=ours,
        other="the same rows in their order, from disk",
        direction="at least",
        bar=bar,
        measure=partial(measure, kind),
        unit=f"s for {NUM_ROWS:,} rows",
    )
    for name, ours, bar, kind in (
        ("loading_cold", "shuffled rows from disk, announced", 0.8, shuffled),
        ("loading_first", "the first epoch: hashing, then shuffled rows", None, first),
    )
)
