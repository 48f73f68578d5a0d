import ctypes
import mmap
import os
import time
from pathlib import Path

import numpy as np
import pytest

from pipeline.cache.readahead import announce, exceeds_memory, read_at_random
from pipeline.cache.reader import TargetCache

PAGES = 2048


def resident(mapped: np.ndarray) -> np.ndarray:
    """Which pages of a mapped file lie in memory."""
    found = np.zeros(-(-mapped.nbytes // mmap.PAGESIZE), np.uint8)
    address, size = ctypes.c_void_p(mapped.ctypes.data), ctypes.c_size_t(mapped.nbytes)
    assert ctypes.CDLL(None).mincore(address, size, ctypes.c_void_p(found.ctypes.data)) == 0
    return (found & 1).astype(bool)


@pytest.fixture
def cold(tmp_path: Path) -> np.ndarray:
    """A mapped file of which no page lies in memory."""
    path = tmp_path / "cold"
    path.write_bytes(np.random.default_rng(0).bytes(PAGES * mmap.PAGESIZE))
    with path.open("rb") as file:
        os.fdatasync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    mapped = np.memmap(path, np.uint8, "r")
    if resident(mapped).any():
        pytest.skip("this file system keeps files in memory")
    return mapped


def test_what_is_announced_is_fetched_and_no_more(cold: np.ndarray) -> None:
    read_at_random(cold)
    first = np.array([1500, 10, 700, 11])
    # The last begins in the middle of a page and ends in that of the one after the next.
    starts = cold.ctypes.data + first * mmap.PAGESIZE + np.array([0, 0, 0, 100])
    announce(starts, np.array([mmap.PAGESIZE, 1, 3 * mmap.PAGESIZE, 2 * mmap.PAGESIZE]))
    wanted = np.isin(np.arange(PAGES), [10, 11, 12, 13, 700, 701, 702, 1500])
    until = time.monotonic() + 10
    while not resident(cold)[wanted].all() and time.monotonic() < until:
        time.sleep(0.01)
    assert resident(cold).tolist() == wanted.tolist()


def test_a_page_read_at_random_comes_alone(cold: np.ndarray) -> None:
    read_at_random(cold)
    assert int(cold[1000 * mmap.PAGESIZE]) >= 0
    assert np.flatnonzero(resident(cold)).tolist() == [1000]


def test_nothing_is_announced_of_nothing() -> None:
    announce(np.empty(0, np.int64), np.empty(0, np.int64))
    read_at_random(np.empty(0, np.float16))


def test_memory_is_exceeded_by_more_than_there_is() -> None:
    assert not exceeds_memory(1)
    assert exceeds_memory(2**60)


@pytest.mark.parametrize(("limit", "exceeded"), [("max", False), ("1000", True), ("100000", False)])
def test_a_container_has_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, exceeded: bool
) -> None:
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    monkeypatch.setattr("pipeline.cache.readahead._LIMIT", tmp_path / "memory.max")
    assert exceeds_memory(2000) == exceeded


@pytest.mark.parametrize("announced", [True, False])
def test_announcing_changes_no_value(sealed: Path, announced: bool) -> None:
    told: list[int] = []
    cache = TargetCache.open(sealed, announced=announced)
    names = list(cache.columns)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.cache.gather.announce", lambda at, sizes: told.append(int(sizes.sum())))
        cache.announce(np.arange(40), names)
    assert bool(told) == announced
    plain = TargetCache.open(sealed).batch(np.arange(40), names)
    batch = cache.batch(np.arange(40), names)
    assert all(np.array_equal(batch[name], plain[name]) for name in plain)


def test_all_bytes_of_a_row_are_announced(sealed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = TargetCache.open(sealed, announced=True)
    told: list[tuple[np.ndarray, np.ndarray]] = []
    monkeypatch.setattr("pipeline.cache.gather.announce", lambda at, sizes: told.append((at, sizes)))
    cache.announce(np.array([3]), ["qa_attention", "start_logits"])
    batch = cache.batch(np.array([3]), ["qa_attention", "start_logits"])
    assert told[0][1].tolist() == [batch["qa_attention"].nbytes, batch["start_logits"].nbytes]


@pytest.mark.parametrize("larger", [True, False])
def test_a_cache_larger_than_memory_is_announced(
    sealed: Path, monkeypatch: pytest.MonkeyPatch, larger: bool
) -> None:
    asked: list[int] = []

    def exceeds(num_bytes: int) -> bool:
        asked.append(num_bytes)
        return larger

    monkeypatch.setattr("pipeline.cache.reader.exceeds_memory", exceeds)
    cache = TargetCache.open(sealed)
    assert cache.is_announced == larger
    shards = (sealed / "shards").rglob("*.arrow")
    assert asked == [sum(path.stat().st_size for path in shards)]
