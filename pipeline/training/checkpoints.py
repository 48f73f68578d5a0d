"""Which checkpoints of a run are whole, which is the newest, and how many are kept.

A checkpoint is a folder of several files, so it is marked as its last act; without the mark it was torn
by a kill and does not count.
"""

import re
import shutil
from pathlib import Path

from pipeline.files import write_text

MARK = "complete"
_NAME = re.compile(r"checkpoint-(\d+)")


def mark_complete(checkpoint: Path) -> None:
    """Say that every file of `checkpoint` has been written."""
    write_text(checkpoint / MARK, "")


def whole(run: Path) -> list[Path]:
    """The whole checkpoints in `run`, oldest first."""
    return [folder for folder in _all(run) if (folder / MARK).is_file()]


def newest(run: Path) -> Path | None:
    """The checkpoint to go on from, None where there is none."""
    return next(reversed(whole(run)), None)


def remove_torn(run: Path) -> None:
    """Delete what a kill left half written."""
    for folder in set(_all(run)) - set(whole(run)):
        shutil.rmtree(folder)


def keep_newest(run: Path, count: int) -> None:
    """Delete all whole checkpoints but the `count` newest."""
    for folder in whole(run)[:-count]:
        (folder / MARK).unlink()  # first, so that a kill leaves a torn folder rather than a lying one
        shutil.rmtree(folder)


def _all(run: Path) -> list[Path]:
    numbered = [
        (int(match[1]), path) for path in run.glob("checkpoint-*") if (match := _NAME.fullmatch(path.name))
    ]
    return [path for _, path in sorted(numbered)]
