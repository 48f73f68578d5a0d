"""Progress of long work: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Advance(Protocol):
    """What long work calls when some more of it is done."""

    def __call__(self, count: int, note: str = "") -> None:
        """Go on by `count`, and show `note` beside the rate."""


_LINE_EVERY_S = 10.0


@contextmanager
def track(total: int, label: str, unit: str = "rows") -> Iterator[Advance]:
    """Show how far `label` has come, with its rate and the time left; yields what advances it."""
    console = Console(stderr=True)
    started = time.monotonic()
    done = 0
    with _bar(console, total, label, unit) if console.is_terminal else _lines(total, label, unit) as show:

        def advance(count: int, note: str = "") -> None:
            nonlocal done
            done += count
            show(count, note)

        yield advance
    elapsed = max(time.monotonic() - started, 1e-9)
    print(f"{label}: {done:,} {unit} in {elapsed:.1f} s ({_rate(done / elapsed)} {unit}/s)", file=sys.stderr)


@contextmanager
def _bar(console: Console, total: int, label: str, unit: str) -> Iterator[Advance]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(label, total=total, rate="", note="")

        def advance(count: int, note: str = "") -> None:
            speed = progress.tasks[0].speed
            progress.update(task, advance=count, rate=f"{_rate(speed)} {unit}/s" if speed else "", note=note)

        yield advance


@contextmanager
def _lines(total: int, label: str, unit: str) -> Iterator[Advance]:
    started = printed = time.monotonic()
    done = 0

    def advance(count: int, note: str = "") -> None:
        nonlocal done, printed
        done += count
        now = time.monotonic()
        if now - printed >= _LINE_EVERY_S and done:
            printed = now
            rate = done / (now - started)
            left = (total - done) / rate
            text = f"{label}: {done:,}/{total:,} {unit}, {_rate(rate)} {unit}/s, {left:,.0f} s left"
            print(f"{text}, {note}" if note else text, file=sys.stderr, flush=True)

    yield advance


def _rate(a_second: float) -> str:
    return f"{a_second:,.0f}" if a_second >= 10 else f"{a_second:.2g}"


def duration(seconds: float) -> str:
    """A time for people: "48 s", "12 min", "3 h 20 min"."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:,.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60:,} h {minutes % 60} min"
