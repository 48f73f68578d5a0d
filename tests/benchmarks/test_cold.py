import os

import pytest

from benchmarks import cold
from benchmarks.pairs import UnmeasurableError


@pytest.fixture(autouse=True)
def _own_stamps(tmp_path, monkeypatch):
    monkeypatch.setenv("COLDBREW_CACHE", str(tmp_path))


@pytest.mark.parametrize("kind", [cold.shuffled, cold.first])
def test_passes_take_time_and_come_from_disk(kind):
    home = os.environ["COLDBREW_CACHE"]
    try:
        ((ours, other),) = cold.measure(kind, 1, num_rows=200)
    except UnmeasurableError as error:
        pytest.skip(f"this file system keeps files in memory: {error}")
    assert ours > 0
    assert other > 0
    assert os.environ["COLDBREW_CACHE"] == home


def test_pages_in_memory_are_not_taken_for_reads(monkeypatch):
    monkeypatch.setattr(cold, "_evicted", lambda folder: None)
    with pytest.raises(UnmeasurableError, match=r"only [\d,]+ of [\d,]+ bytes came from the disk"):
        list(cold.measure(cold.shuffled, 1, num_rows=200))
