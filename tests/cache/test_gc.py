from pathlib import Path
from types import ModuleType

import pytest

from pipeline.cache.gc import gc
from pipeline.cache.lock import locked
from pipeline.cache.manifest import load_manifest
from pipeline.cache.verify import verify
from pipeline.errors import LockedError


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


def test_a_writer_is_not_disturbed(shrunken: Path) -> None:
    with locked(shrunken), pytest.raises(LockedError):
        gc(shrunken)
