import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pipeline.cache.gc import gc
from pipeline.cache.lock import locked
from pipeline.cache.manifest import load_manifest
from pipeline.cache.reader import TargetCache
from pipeline.cache.verify import verify
from pipeline.errors import DiskError, LockedError


@pytest.fixture
def shrunken(filling: ModuleType, sealed: Path) -> Path:
    """A cache whose rows are only those of its second shards."""
    rows = filling.make_rows(["row 94"])
    filling.fill(filling.plan(sealed, rows, filling.make_settings()), filling.FakeTeacher(rows))
    return sealed


def test_unreferenced_shards_go(shrunken: Path) -> None:
    loose = load_manifest(shrunken).unreferenced
    size = sum((shrunken / entry.file).stat().st_size for entry in loose)
    assert len(loose) == 4
    assert gc(shrunken) == size
    assert verify(shrunken) == []
    assert len(list((shrunken / "shards").rglob("*.arrow"))) == 4


def test_nothing_to_do_changes_nothing(sealed: Path) -> None:
    before = (sealed / "manifest.json").stat().st_mtime_ns
    assert gc(sealed) == 0
    assert (sealed / "manifest.json").stat().st_mtime_ns == before


class Room:
    """A disk on which nothing can be written, its lock's note included, while more than `files` are there."""

    def __init__(self, patch: pytest.MonkeyPatch, folder: Path, files: int) -> None:
        self._folder, self._files = folder, files
        patch.setattr(Path, "write_text", self._refusing(Path.write_text))
        patch.setattr(os, "pwrite", self._refusing(os.pwrite))

    def _refusing(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def refusing(*arguments: Any, **options: Any) -> Any:
            if len(list(self._folder.rglob("shards/*/*.arrow"))) > self._files:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(*arguments, **options)

        return refusing


def test_a_full_disk_is_freed_before_anything_is_written(shrunken: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        Room(patch, shrunken, files=4)
        assert gc(shrunken) > 0
    assert verify(shrunken) == []
    assert load_manifest(shrunken).unreferenced == []


def test_a_disk_that_is_full_of_other_files(shrunken: Path) -> None:
    """What could be freed is; students read on, and the next run tells the manifest."""
    with pytest.MonkeyPatch.context() as patch:
        Room(patch, shrunken, files=0)
        with pytest.raises(DiskError, match="expected room on the disk"):
            gc(shrunken)
    assert len(list(shrunken.rglob("shards/*/*.arrow"))) == 4
    identity = load_manifest(shrunken).identity
    assert len(TargetCache.open(shrunken, expected=identity)) == 1
    assert {problem.got for problem in verify(shrunken)} == {"no such file"}
    gc(shrunken)
    assert verify(shrunken) == []


def test_what_else_the_disk_refuses_frees_nothing(shrunken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*arguments: Any, **options: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "write_text", forbidden)
    with pytest.raises(DiskError, match="Read-only file system"):
        gc(shrunken)
    assert len(list(shrunken.rglob("shards/*/*.arrow"))) == 8


def test_a_writer_is_not_disturbed(shrunken: Path) -> None:
    with locked(shrunken), pytest.raises(LockedError):
        gc(shrunken)
