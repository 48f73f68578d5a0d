import pytest

from benchmarks import stepping
from benchmarks.synthetic import Targets
from pipeline.cache.reader import TargetCache


@pytest.fixture(autouse=True)
def _own_stamps(tmp_path, monkeypatch):
    monkeypatch.setenv("COLDBREW_CACHE", str(tmp_path))


def test_made_up_inputs_fit_their_targets(tmp_path):
    targets = Targets(20, shortest=5, longest=9)
    targets.write_cache(tmp_path / "cache")
    cache = TargetCache.open(tmp_path / "cache")
    positions = cache.positions(targets.identities(), [0] * 20)
    lengths = cache.batch(positions, ("start_logits",))["passage_length"]
    columns = targets.inputs(100, "teacher")
    assert lengths.tolist() == targets.lengths.tolist()
    assert columns["teacher/start_map"].lengths.tolist() == lengths.tolist()
    assert (columns["passage"].values.reshape(-1, 2) @ [-1, 1]).tolist() == lengths.tolist()


@pytest.mark.slow
def test_both_sides_of_a_step_take_time():
    pairs = list(stepping.measure(2, 2))
    assert len(pairs) == 2
    assert all(cached > 0 and gold > 0 for cached, gold in pairs)
