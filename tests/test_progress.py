import pytest

from pipeline import progress
from pipeline.progress import track


@pytest.mark.parametrize("steps", [(), (3,), (3, 4), (3, 4, 3)])
def test_the_last_line_says_what_was_done_and_not_what_was_planned(steps, capsys):
    with track(10, "work", unit="things") as advance:
        for step in steps:
            advance(step)
    assert f"work: {sum(steps)} things in " in capsys.readouterr().err


@pytest.mark.parametrize(("seconds", "rate"), [(25.0, "0.4"), (3.0, "3.3"), (0.005, "2,000")])
def test_a_rate_below_one_a_second_is_not_shown_as_none(seconds, rate, capsys, monkeypatch):
    times = iter([0.0, 0.0, seconds])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(times, seconds))
    with track(20, "work", unit="steps") as advance:
        advance(10)
    assert f"({rate} steps/s)" in capsys.readouterr().err
