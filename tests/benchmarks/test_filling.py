import numpy as np
import pytest

from benchmarks import filling


@pytest.fixture(autouse=True)
def _own_stamps(tmp_path, monkeypatch):
    monkeypatch.setenv("COLDBREW_CACHE", str(tmp_path))


@pytest.fixture(autouse=True)
def _drawn(monkeypatch, tmp_path):
    monkeypatch.setattr(filling, "_SQUAD", tmp_path / "absent.json")


def test_a_fill_and_bare_passes_take_time():
    pairs = list(filling.against_bare(2, num_layers=2, count=4))
    assert len(pairs) == 2
    assert all(ours > 0 and other > 0 for ours, other in pairs)


def test_a_fill_and_the_usual_loop_take_time():
    ((ours, other),) = filling.against_usual(1, count=3)
    assert ours > 0
    assert other > 0


def test_drawn_rows_are_as_long_as_squads():
    lengths = [len(row.input_ids) for row in filling.drawn_rows(2000)]
    assert np.percentile(lengths, [5, 50, 95]) == pytest.approx([84, 164, 312], rel=0.05)
    assert max(lengths) <= filling.MAX_LENGTH


def test_the_usual_pick_finds_the_best_span():
    start, end = np.array([0.0, 3.0, 1.0]), np.array([5.0, 0.0, 2.0])
    # (1, 2) is worth 5, (0, 0) too, and (1, 0) would be worth 8 if it did not end before it starts.
    assert filling.top_answers(start, end)[:2] == [(5.0, 1, 2), (5.0, 0, 0)]


def test_less_than_eight_percent_is_padding():
    ((padded, real),) = filling.waste(1)
    assert 1 - real / padded < 0.08
