import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.cache.lock import locked
from pipeline.errors import LockedError

HOLD = """
import sys, time
from pathlib import Path
from pipeline.cache.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""

WAIT = HOLD.replace("sys.argv[1])", "sys.argv[1]), wait=True")


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "cache")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.communicate()


def test_a_second_process_is_refused_by_the_holders_id(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    with (
        pytest.raises(LockedError, match=rf"cache: .*got process {holder.pid} at it; wait for it"),
        locked(tmp_path / "cache"),
    ):
        pass


def test_a_dead_holder_holds_nothing(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    with locked(tmp_path / "cache"):
        assert (tmp_path / "cache.lock").read_text() == f"{os.getpid()}\n"


def test_waiting_ends_with_the_holder(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    waiter = subprocess.Popen(
        [sys.executable, "-c", WAIT, str(tmp_path / "cache")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert waiter.stdout is not None
    time.sleep(0.5)
    assert waiter.poll() is None
    holder.communicate()
    assert waiter.stdout.readline() == "held\n"
    waiter.communicate()


def test_the_lock_is_beside_the_folder(tmp_path: Path) -> None:
    with locked(tmp_path / "cache"):
        assert not (tmp_path / "cache").exists()
    with locked(tmp_path / "cache"):
        pass
