import numpy as np
import pytest

from benchmarks import many
from benchmarks.pairs import FEWEST_PAIRS


@pytest.fixture(autouse=True)
def _own_stamps(tmp_path, monkeypatch):
    monkeypatch.setenv("COLDBREW_CACHE", str(tmp_path))


@pytest.mark.parametrize("kind", [many.epochs, many.in_order, many.at_random])
def test_both_sides_take_time(kind):
    pairs = list(many.measure(kind, "short", FEWEST_PAIRS, many=1280, few=128))
    assert len(pairs) == FEWEST_PAIRS
    assert all(large > 0 and small > 0 for large, small in pairs)


@pytest.mark.parametrize("kind", [many.epochs, many.in_order, many.at_random])
@pytest.mark.parametrize("size", [128, 1280])
def test_as_many_rows_of_either_are_read(kind, size, monkeypatch):
    dataset, seen = many._opened(size, "short"), []
    batch = dataset.cache.batch

    def counted(rows, *arguments, **options):
        seen.extend(np.asarray(rows).tolist())
        return batch(rows, *arguments, **options)

    monkeypatch.setattr(type(dataset.cache), "batch", lambda self, *given, **named: counted(*given, **named))
    kind(dataset, 1280, 3)
    assert len(seen) == 1280
    assert len(set(seen)) >= min(size, 1280) - 32
