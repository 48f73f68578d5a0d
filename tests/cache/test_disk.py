"""Disks that are full or forbid what is asked: a clear error, nothing lost, and a run afterwards goes on."""

import errno
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import pipeline
from pipeline.cache import BACKENDS
from pipeline.cache.convert import convert
from pipeline.cache.diff import diff
from pipeline.cache.fill import fill
from pipeline.cache.gc import gc
from pipeline.cache.layout import files_in, is_temporary, shard_name
from pipeline.cache.parquet import export
from pipeline.cache.plan import plan
from pipeline.cache.reader import TargetCache
from pipeline.cache.remote import pull, push
from pipeline.cache.remove import remove
from pipeline.cache.verify import verify
from pipeline.errors import DiskError, PipelineError
from pipeline.files import new_file, new_folder

NAMES = [f"row {at % 95}" for at in range(100)]
FULL = r"expected room on the disk; got No space left on device; free some space, and run again: finished"


def shards(folder: Path) -> dict[str, int]:
    return {file: (folder / file).stat().st_ino for file in files_in(folder) if shard_name(file)}


def assert_nothing_half(folder: Path) -> None:
    assert not [file for file in files_in(folder) if is_temporary(file)]


# Full, by an error put in the way


class Filled:
    """Fails with an error of the disk every write to a file after the first `writes`."""

    def __init__(self, patch: pytest.MonkeyPatch, writes: int, number: int = errno.ENOSPC) -> None:
        self._left = writes
        self._number = number
        for name in BACKENDS.names():
            kind = type(BACKENDS.load(name)())
            if kind.write.__name__ != "refusing":
                patch.setattr(kind, "write", self._refusing(kind.write))
        patch.setattr(Path, "write_text", self._refusing(Path.write_text))
        patch.setattr(Path, "write_bytes", self._refusing(Path.write_bytes))

    def _refusing(self, write: Callable[..., object]) -> Callable[..., object]:
        def refusing(first: object, *rest: object, **options: object) -> object:
            self._left -= 1
            if self._left < 0:
                path = next(part for part in (first, *rest) if isinstance(part, Path))
                with path.open("wb") as file:
                    file.write(b"half")
                raise OSError(self._number, os.strerror(self._number))
            return write(first, *rest, **options)

        return refusing


@pytest.mark.parametrize(
    ("backend", "writes"),
    [*(("arrow", writes) for writes in (0, 3, 8, 9, 10)), ("hdf5", 3), ("zarr", 3)],
)
def test_a_fill_on_a_full_disk_goes_on_afterwards(
    filling: ModuleType, tmp_path: Path, sealed: Path, backend: str, writes: int
) -> None:
    # Eight shards, then rows.arrow, the provenance, the manifest and the seal.
    folder = tmp_path / "new"
    rows, settings = filling.make_rows(NAMES), filling.make_settings(backend=backend)
    with pytest.MonkeyPatch.context() as patch:
        Filled(patch, writes)
        with pytest.raises(DiskError, match=FULL):
            fill(plan(folder, rows, settings), filling.FakeTeacher(rows))
    assert_nothing_half(folder)
    before = shards(folder)
    assert len(before) == min(writes, 8)
    teacher = filling.FakeTeacher(rows)
    fill(plan(folder, rows, settings), teacher)
    assert before.items() <= shards(folder).items()
    assert (teacher.asked == []) == (writes >= 8)
    assert verify(folder) == []
    assert diff(sealed, folder) == []


@pytest.mark.parametrize(("backend", "writes"), [("hdf5", 0), ("zarr", 5), ("hdf5", 9), ("hdf5", 10)])
def test_a_conversion_on_a_full_disk_goes_on_afterwards(
    sealed: Path, tmp_path: Path, backend: str, writes: int
) -> None:
    folder = tmp_path / "new"
    with pytest.MonkeyPatch.context() as patch:
        Filled(patch, writes)
        with pytest.raises(DiskError, match=FULL):
            convert(sealed, folder, backend)
    assert_nothing_half(folder)
    before = shards(folder)
    assert len(before) == min(writes, 8)
    convert(sealed, folder, backend)
    assert before.items() <= shards(folder).items()
    assert diff(sealed, folder) == []


def test_other_errors_of_the_disk_are_named_too(filling: ModuleType, tmp_path: Path) -> None:
    rows = filling.make_rows(NAMES)
    for number, expected in (
        (errno.EDQUOT, "room on the disk; got Disk quota exceeded"),
        (errno.EACCES, "permission to read and write; got Permission denied; give it to this user"),
        (errno.EROFS, "permission to read and write; got Read-only file system"),
        (errno.EIO, "a disk that works; got Input/output error; check the disk"),
    ):
        with pytest.MonkeyPatch.context() as patch:
            Filled(patch, 2, number)
            with pytest.raises(DiskError, match=expected):
                fill(plan(tmp_path / "new", rows, filling.make_settings()), filling.FakeTeacher(rows))
        assert_nothing_half(tmp_path / "new")


def test_an_error_of_the_teachers_own_files_is_passed_on(filling: ModuleType, tmp_path: Path) -> None:
    def broken(asked: np.ndarray, fields: frozenset[str]) -> dict[str, object]:
        raise PermissionError(errno.EACCES, "Permission denied", "/models/weights")

    with pytest.raises(PermissionError, match="/models/weights"):
        fill(plan(tmp_path / "cache", filling.make_rows(NAMES), filling.make_settings()), broken)


def test_other_errors_inside_a_new_file_are_passed_on(tmp_path: Path) -> None:
    with pytest.raises(ConnectionError, match="no server"), new_file(tmp_path / "file"):
        raise ConnectionError("no server")
    with pytest.raises(FileNotFoundError), new_folder(tmp_path / "folder"):
        (tmp_path / "absent").read_text()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_while_pulling_blames_the_disk_and_not_the_url(sealed: Path, tmp_path: Path) -> None:
    url = f"file://{tmp_path}/remote"
    push(sealed, url)

    def full(source: str, target: str, **options: object) -> None:
        Path(target).write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "fsspec.implementations.local.LocalFileSystem.get_file", lambda self, *rest: full(*rest)
        )
        with pytest.raises(DiskError, match=FULL) as caught:
            pull(url, tmp_path / "copy")
        assert caught.value.where.startswith(str(tmp_path / "copy"))
    assert_nothing_half(tmp_path / "copy")
    pull(url, tmp_path / "copy")
    assert verify(tmp_path / "copy") == []


# Full, in truth


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, of 4 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("only root may mount a small disk")
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"no small disk: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def leave(place: Path, free: int) -> Path:
    """Fill a disk but for `free` bytes, by a file to be removed."""
    ballast = place / "ballast"
    ballast.unlink(missing_ok=True)
    with ballast.open("wb") as file:
        while True:
            try:
                os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(place).free - free)
                return ballast
            except OSError as error:  # a shard was written in between: look again
                if error.errno != errno.ENOSPC or shutil.disk_usage(place).free <= free:
                    raise


@pytest.mark.parametrize("backend", ["arrow", "hdf5", "hdf5_zstd", "zarr"])
def test_a_disk_that_fills_up_under_a_fill(
    filling: ModuleType, small_disk: Path, tmp_path: Path, backend: str
) -> None:
    rows, settings = filling.make_rows(NAMES), filling.make_settings(backend=backend)
    whole = tmp_path / "whole"
    fill(plan(whole, rows, settings), filling.FakeTeacher(rows))
    honest = filling.FakeTeacher(rows)
    folder = small_disk / "cache"

    def filling_up(asked: np.ndarray, fields: frozenset[str]) -> object:
        if 80 in asked:
            leave(small_disk, 4096)
        return honest(asked, fields)

    with pytest.raises(DiskError, match=FULL):
        fill(plan(folder, rows, settings), filling_up)
    assert_nothing_half(folder)
    before = shards(folder)
    assert 0 < len(before) < 8
    # Before the first byte, where it can be foreseen.
    with pytest.raises(PipelineError, match="free"):
        fill(plan(folder, rows, settings), honest)
    (small_disk / "ballast").unlink()
    teacher = filling.FakeTeacher(rows)
    fill(plan(folder, rows, settings), teacher)
    assert before.items() <= shards(folder).items()
    answers, before_answers = (
        sum(len(asked) * len(fields) for asked, fields in who.asked) for who in (teacher, honest)
    )
    assert answers < before_answers
    assert diff(whole, folder) == []
    assert {file: (folder / file).read_bytes() for file in [*shards(folder), "rows.arrow"]} == {
        file: (whole / file).read_bytes() for file in [*shards(whole), "rows.arrow"]
    }


@pytest.mark.parametrize("backend", ["hdf5", "zarr_zstd"])
def test_a_disk_too_small_for_a_conversion(sealed: Path, small_disk: Path, backend: str) -> None:
    ballast = leave(small_disk, 24_576)
    folder = small_disk / "new"
    with pytest.raises(DiskError, match=FULL):
        convert(sealed, folder, backend)
    assert_nothing_half(folder)
    ballast.unlink()
    convert(sealed, folder, backend)
    assert diff(sealed, folder) == []


def test_a_disk_too_small_to_fetch_send_or_export(sealed: Path, small_disk: Path, tmp_path: Path) -> None:
    push(sealed, f"file://{tmp_path}/remote")
    steps: dict[str, Callable[[], object]] = {
        "pull": lambda: pull(f"file://{tmp_path}/remote", small_disk / "copy"),
        "push": lambda: push(sealed, f"file://{small_disk}/remote"),
        "export": lambda: export(sealed, small_disk / "out"),
    }
    for name, step in steps.items():
        ballast = leave(small_disk, 12_288)
        with pytest.raises(PipelineError, match=r"No space left on device.* run again"):
            step()
        ballast.unlink()
        if name != "push":
            assert not [file for file in small_disk.rglob("*") if file.name.endswith(".tmp")]
        step()
    assert verify(small_disk / "copy") == []
    assert verify(small_disk / "remote") == []
    assert (small_disk / "out" / "train.parquet").is_file()


def test_a_full_hdf5_process_ends_well(small_disk: Path) -> None:
    """HDF5 crashes at exit where a file of its could not be closed."""
    code = (
        "import sys; from pathlib import Path; import numpy as np\n"
        "from pipeline.cache.hdf5 import Hdf5Backend, archive\n"
        "from pipeline.cache.ragged import Ragged\n"
        "values = np.random.default_rng(0).integers(0, 2**31, 2**21).astype(np.int32)\n"
        "for number, backend in enumerate((Hdf5Backend(), archive())):\n"
        "    try: backend.write(Path(sys.argv[1]) / str(number), {'a': Ragged.of_equal(values[None])}, {})\n"
        "    except OSError as error: print(error.errno)\n"
        "    (Path(sys.argv[1]) / str(number)).unlink()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(small_disk)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(pipeline.__file__).parents[1],
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{errno.ENOSPC}\n" * 2, "")


# Forbidden


def as_a_guest(step: Callable[[], object]) -> str:
    """What a step raises under the rights of a user who owns nothing; root is refused nothing."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Threads of storage libraries, which the child does not need.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        text = "nothing"
        try:
            if os.geteuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            step()
        except PipelineError as error:
            text = f"{type(error).__name__}: {error}"
        except BaseException:
            text = traceback.format_exc()
        os.write(writing, text.encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(pid, 0)
    with os.fdopen(reading) as file:
        return file.read()


@pytest.fixture
def guarded(sealed_once: Path) -> Iterator[Path]:
    """A cache that all may read and only its owner change, in a folder that all may enter."""
    # Not below tmp_path, which only its owner may enter.
    folder = Path(shutil.copytree(sealed_once, Path(tempfile.mkdtemp(prefix="coldbrew-")) / "cache"))
    set_modes(folder.parent, 0o555, 0o444)
    yield folder
    set_modes(folder.parent, 0o755, 0o644)
    shutil.rmtree(folder.parent)


def set_modes(folder: Path, folders: int, files: int) -> None:
    folder.chmod(0o755)
    for path in sorted(folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else files)
    for path in [*folder.rglob("*"), folder]:
        if path.is_dir():
            path.chmod(folders)


def test_a_guest_reads_and_changes_nothing(
    filling: ModuleType, guarded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLDBREW_CACHE", "/nonexistent/home")
    rows = filling.make_rows([*NAMES, "new"])
    settings = filling.make_settings()
    before = {file: (guarded / file).read_bytes() for file in files_in(guarded)}
    assert as_a_guest(lambda: TargetCache.open(guarded)) == "nothing"
    assert as_a_guest(lambda: verify(guarded)) == "nothing"
    steps: list[Callable[[], object]] = [
        lambda: fill(plan(guarded, rows, settings), filling.FakeTeacher(rows)),
        lambda: gc(guarded),
        lambda: remove(guarded),
        lambda: convert(guarded, guarded.parent / "new", "hdf5"),
        lambda: export(guarded, guarded.parent / "out"),
        lambda: pull(f"file://{guarded}", guarded.parent / "copy"),
    ]
    for step in steps:
        told = as_a_guest(step)
        assert told.startswith(f"DiskError: {guarded.parent}"), told
        assert "expected permission to read and write; got Permission denied; give it to this user" in told
    sent = as_a_guest(lambda: push(guarded, f"file://{guarded.parent}/remote"))
    assert sent.startswith(f"CacheError: file://{guarded.parent}/remote")
    assert "Permission denied" in sent
    # The lock may be taken, and the folder not be changed.
    lock = guarded.with_name("cache.lock")
    guarded.parent.chmod(0o755)
    lock.touch()
    lock.chmod(0o666)
    for step in steps[:3]:
        told = as_a_guest(step)
        assert told == "nothing" or told.startswith(f"DiskError: {guarded.parent}"), told
    assert {file: (guarded / file).read_bytes() for file in files_in(guarded)} == before


def test_a_guest_is_told_what_cannot_be_read(
    filling: ModuleType, guarded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLDBREW_CACHE", "/nonexistent/home")
    rows, settings = filling.make_rows(NAMES), filling.make_settings()
    shard = next(file for file in files_in(guarded) if shard_name(file))
    for file in (shard, "rows.arrow", "manifest.json", "seal.json"):
        (guarded / file).chmod(0)
        told = as_a_guest(lambda: TargetCache.open(guarded))
        assert told.startswith(f"DiskError: {guarded / file}: expected permission to read"), told
        (guarded / file).chmod(0o444)
    (guarded / shard).parent.chmod(0)
    guarded.parent.chmod(0o777)
    steps = [
        lambda: TargetCache.open(guarded),
        lambda: plan(guarded, rows, settings),
        lambda: convert(guarded, guarded.parent / "never", "hdf5"),
    ]
    for step in steps:
        assert as_a_guest(step).startswith(f"DiskError: {guarded}")
    (guarded / shard).parent.chmod(0o555)
