import time

import pytest

from benchmarks import loading
from benchmarks.pairs import FEWEST_PAIRS, UnmeasurableError


@pytest.fixture(autouse=True)
def _own_stamps(tmp_path, monkeypatch):
    monkeypatch.setenv("COLDBREW_CACHE", str(tmp_path))


@pytest.mark.parametrize("backend", ["arrow", "hdf5", "zarr"])
def test_both_sides_give_the_same_values_and_take_time(backend):
    pairs = list(loading.measure_raw(FEWEST_PAIRS, num_rows=100, backend=backend))
    assert len(pairs) == FEWEST_PAIRS
    assert all(ours > 0 and other > 0 for ours, other in pairs)


@pytest.mark.slow
@pytest.mark.parametrize("kind", loading.KINDS)
def test_a_peer_gives_the_same_values(kind):
    ((ours, other),) = loading.measure_peer(kind, "read", 1, num_rows=100)
    assert 0 < ours < other


@pytest.mark.slow
@pytest.mark.parametrize("work", ["step", "write"])
def test_a_peer_takes_time(work):
    ((ours, other),) = loading.measure_peer("files", work, 1, num_rows=100)
    assert min(ours, other) > (4 * loading.STEP_S if work == "step" else 0)


def test_a_step_is_waited_for_once_a_batch():
    seen = []
    started = time.perf_counter()
    loading._exhausted(lambda: (seen.append(number) or number for number in range(20)), 0.01)()
    assert seen == list(range(20))
    assert time.perf_counter() - started > 20 * 0.01


def test_a_peer_that_cannot_run_is_unmeasurable(monkeypatch, tmp_path):
    monkeypatch.setattr(loading, "PEERS", tmp_path / "absent.py")
    with pytest.raises(UnmeasurableError, match=r"the peer's process ended: .*absent\.py"):
        list(loading.measure_peer("datasets", "read", 1, num_rows=64))


@pytest.mark.slow
def test_an_environment_that_cannot_be_built_is_unmeasurable(monkeypatch, tmp_path):
    monkeypatch.setattr(loading, "ENVIRONMENT", tmp_path / "peers")
    monkeypatch.setattr(loading, "PACKAGES", (str(tmp_path / "no-such-wheel.whl"),))
    with pytest.raises(UnmeasurableError, match="could not be installed"):
        loading._peer_python("streaming")
    assert not (tmp_path / "peers" / "complete").exists()
