import pytest

from benchmarks import loading
from benchmarks.pairs import FEWEST_PAIRS, UnmeasurableError


@pytest.fixture(autouse=True)
def _own_stamps(tmp_path, monkeypatch):
    monkeypatch.setenv("COLDBREW_CACHE", str(tmp_path))


def test_both_sides_give_the_same_values_and_take_time():
    pairs = list(loading.measure_raw(FEWEST_PAIRS, num_rows=100))
    assert len(pairs) == FEWEST_PAIRS
    assert all(ours > 0 and other > 0 for ours, other in pairs)


@pytest.mark.slow
def test_a_peer_gives_the_same_values():
    ((ours, other),) = loading.measure_peer("datasets", 1, num_rows=100)
    assert 0 < ours < other


def test_a_peer_that_cannot_run_is_unmeasurable(monkeypatch, tmp_path):
    monkeypatch.setattr(loading, "PEERS", tmp_path / "absent.py")
    with pytest.raises(UnmeasurableError, match=r"the peer's process ended: .*absent\.py"):
        list(loading.measure_peer("datasets", 1, num_rows=64))


@pytest.mark.slow
def test_an_environment_that_cannot_be_built_is_unmeasurable(monkeypatch, tmp_path):
    monkeypatch.setattr(loading, "ENVIRONMENT", tmp_path / "peers")
    monkeypatch.setattr(loading, "STREAMING", str(tmp_path / "no-such-wheel.whl"))
    with pytest.raises(UnmeasurableError, match="could not be installed"):
        loading._peer_python("streaming")
    assert not (tmp_path / "peers" / "complete").exists()
