"""Files that are whole or absent: written under a temporary name, synced, renamed."""

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import DataError, DiskError

TEMPORARY = ".tmp"

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_FAILING = {errno.EIO, errno.EFBIG, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EMFILE, errno.ENFILE}


def is_local(error: OSError) -> bool:
    """Whether a disk of this machine is at fault; servers that cannot be reached raise OSErrors too."""
    return error.errno in _FULL | _FORBIDDEN | _FAILING


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what the disk refuses in the block into an error that says what to do.

    Args:
        path: What is read or written.

    Raises:
        DiskError: The disk is full, forbids it, or fails.
    """
    try:
        yield
    except OSError as error:
        if not is_local(error):
            raise
        expected, remedy = "a disk that works", "check the disk and the path"
        if is_full(error):
            expected, remedy = "room on the disk", "free some space"
        elif error.errno in _FORBIDDEN:
            expected, remedy = "permission to read and write", "give it to this user, or name another folder"
        raise DiskError(
            path,
            expected=expected,
            got=os.strerror(error.errno or 0),
            remedy=f"{remedy}, and run again: finished files stay",
        ) from error


def is_full(error: BaseException | None) -> bool:
    """Whether an error says that the disk has no room; that of a `DiskError` is its cause."""
    return isinstance(error, OSError) and error.errno in _FULL


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that becomes `path` when the block ends well, else vanishes.

    Raises:
        DiskError: The disk is full, forbids it, or fails.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            _sync_file(temporary)
            os.replace(temporary, path)
            sync_folder(path.parent)
        finally:
            # A folder that forbids writing forbids this too, and says so already.
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A temporary folder that takes the place of `path` when the block ends well, else vanishes.

    Raises:
        DiskError: The disk is full, forbids it, or fails.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        try:
            yield temporary
            for file in temporary.rglob("*"):
                if file.is_file():
                    _sync_file(file)
            if path.exists():
                shutil.rmtree(path)
            os.replace(temporary, path)
            sync_folder(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 `text` whole or not at all."""
    with new_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys: equal values give equal bytes."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def read_json(path: Path, *, what: str = "a JSON file") -> Any:
    """Parse the JSON file at `path`.

    Raises:
        DataError: The file is missing, is not UTF-8 or is not JSON.
    """
    text = _read_text(path, what)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            path, expected=what, got=f"malformed JSON ({error})", remedy="mend or replace the file"
        ) from error


def read_yaml(path: Path, *, what: str = "a YAML file") -> Any:
    """Parse the YAML file at `path`.

    Raises:
        DataError: The file is missing, is not UTF-8 or is not YAML.
    """
    text = _read_text(path, what)
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DataError(
            path, expected=what, got=f"malformed YAML ({error})", remedy="mend or replace the file"
        ) from error


def _read_text(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(path, expected=what, got="no such file", remedy="check the path") from error
    except (IsADirectoryError, PermissionError) as error:
        raise DataError(path, expected=what, got=str(error.strerror), remedy="check the path") from error
    except UnicodeDecodeError as error:
        raise DataError(
            path, expected="UTF-8 text", got=f"other bytes ({error})", remedy="convert the file to UTF-8"
        ) from error
