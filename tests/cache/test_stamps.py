import os
import time
from pathlib import Path

import pytest

from pipeline.cache import stamps as module
from pipeline.cache.checksum import bytes_checksum
from pipeline.cache.stamps import Stamps


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were hashed."""
    hashed: list[Path] = []
    real = module.file_checksum

    def counting(path: Path) -> str:
        hashed.append(path)
        return real(path)

    monkeypatch.setattr(module, "file_checksum", counting)
    return hashed


def settled(folder: Path) -> Path:
    """A file old enough to be remembered."""
    file = folder / "file"
    file.write_bytes(b"some bytes")
    time.sleep(0.15)
    return file


def ask(folder: Path, file: Path, *, trust: bool = True) -> str:
    stamps = Stamps(folder, trust=trust)
    checksum = stamps.checksum(file)
    stamps.save()
    return checksum


def test_a_file_is_hashed_once(tmp_path: Path, counted: list[Path]) -> None:
    file = settled(tmp_path)
    assert ask(tmp_path, file) == ask(tmp_path, file) == bytes_checksum(b"some bytes")
    assert len(counted) == 1


def test_unless_told_not_to_trust(tmp_path: Path, counted: list[Path]) -> None:
    file = settled(tmp_path)
    ask(tmp_path, file)
    ask(tmp_path, file, trust=False)
    assert len(counted) == 2


def test_a_changed_file_is_hashed_again_even_with_its_old_time(tmp_path: Path, counted: list[Path]) -> None:
    file = settled(tmp_path)
    before = file.stat()
    ask(tmp_path, file)
    file.write_bytes(b"some bytez")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert ask(tmp_path, file) == bytes_checksum(b"some bytez")


def test_a_file_touched_just_now_is_not_remembered(tmp_path: Path, counted: list[Path]) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"some bytes")
    ask(tmp_path, file)
    file.write_bytes(b"some bytez")
    assert ask(tmp_path, file) == bytes_checksum(b"some bytez")


@pytest.mark.parametrize("rubbish", [b"{", b"[]", b"\xff", b'{"file": 3}', b'{"file": [1, 2]}'])
def test_damaged_stamps_are_forgotten(tmp_path: Path, counted: list[Path], rubbish: bytes) -> None:
    file = settled(tmp_path)
    ask(tmp_path, file)
    (stamp_file,) = Path(os.environ["COLDBREW_CACHE"]).rglob("*.json")
    stamp_file.write_bytes(rubbish)
    assert ask(tmp_path, file) == bytes_checksum(b"some bytes")
    assert len(counted) == 2


def test_a_home_that_cannot_be_written_costs_time_only(
    tmp_path: Path, counted: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLDBREW_CACHE", "/dev/null/no")
    file = settled(tmp_path)
    assert ask(tmp_path, file) == ask(tmp_path, file)
    assert len(counted) == 2
