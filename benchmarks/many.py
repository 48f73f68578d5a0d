"""Time a row of a cache of very many rows, over that of a cache of few: work a row must not grow."""

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from pathlib import Path

import numpy as np

from benchmarks.pairs import Pair, Ratio
from benchmarks.synthetic import Targets
from pipeline.training.cache_dataset import CacheBatches, CacheDataset

MANY, FEW = 1_000_000, 10_000
LENGTHS = {"short": (2, 12), "": (80, 384)}
BATCH = 32
COLUMNS = ("start_logits", "end_logits")

# Reads `count` rows of a cache, another part or order of it for each number.
Reading = Callable[[CacheDataset, int, int], None]


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()  # what several ratios read; it goes when the process ends


@cache
def _opened(num_rows: int, lengths: str) -> CacheDataset:
    """A cache of span logits in Arrow files."""
    path = Path(_folder().name) / f"{num_rows}_{lengths}"
    shortest, longest = LENGTHS[lengths]
    Targets(num_rows, shortest, longest, attention=False).write_cache(path)
    time.sleep(0.2)  # files touched a moment ago are not trusted to be as they were
    return CacheDataset(path, COLUMNS)


def epochs(dataset: CacheDataset, count: int, number: int) -> None:
    """Shuffled epochs as a training loop reads them: the order and torch's tensors included."""
    for epoch in range(count // len(dataset)):
        batches = CacheBatches(dataset, batch_size=BATCH)
        batches.start_at(number * count + epoch)
        for ticket in batches:
            dataset.__getitems__(ticket)


def in_order(dataset: CacheDataset, count: int, number: int) -> None:
    """Batches of rows that follow one another, over and over."""
    _read(
        dataset, (np.arange(start, start + BATCH) for start in range(0, len(dataset) - BATCH, BATCH)), count
    )


def at_random(dataset: CacheDataset, count: int, number: int) -> None:
    """Batches of rows from all over the cache."""
    order = np.random.default_rng(number).permutation(len(dataset))
    _read(dataset, order[: len(order) - len(order) % BATCH].reshape(-1, BATCH), count)


def _read(dataset: CacheDataset, batches: Iterable[np.ndarray], count: int) -> None:
    kept = list(batches)
    for at in range(count // BATCH):
        dataset.cache.batch(kept[at % len(kept)], COLUMNS)


def measure(read: Reading, lengths: str, pairs: int, many: int = MANY, few: int = FEW) -> Iterator[Pair]:
    """Microseconds a row of both, over as many rows; the first reading of each is not counted."""
    datasets = _opened(many, lengths), _opened(few, lengths)
    for number in range(pairs + 1):
        took = {}
        for dataset in datasets if number % 2 else datasets[::-1]:
            started = time.perf_counter()
            read(dataset, many, number)
            took[dataset] = (time.perf_counter() - started) / many * 1e6
        if number:
            yield took[datasets[0]], took[datasets[1]]


RATIOS = tuple(
    Ratio(
        name="_".join(filter(None, ("many", kind.__name__, lengths))),
        ours=f"{what}, of {MANY:,} rows of {LENGTHS[lengths][0]} to {LENGTHS[lengths][1]} tokens",
        other=f"of {FEW:,} rows",
        direction="at most",
        bar=bar,
        measure=partial(measure, kind, lengths),
        unit="microseconds a row",
    )
    for kind, what, bar in (
        (epochs, "shuffled epochs", 1.2),
        (in_order, "batches in order", 1.2),
        (at_random, "batches at random", None),
    )
    for lengths in LENGTHS
)
