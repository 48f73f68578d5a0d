"""A cache at an fsspec URL: sent and fetched file by file, only what is missing, every byte verified."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import fsspec

from pipeline.cache.checksum import file_checksum, stream_checksum
from pipeline.cache.layout import MANIFEST, PROVENANCE, ROWS, SEAL, files_in, refuse_foreign, shard_name
from pipeline.cache.lock import locked
from pipeline.cache.manifest import Manifest, check_seal, load_manifest, parse_manifest
from pipeline.cache.stamps import Stamps, home
from pipeline.cache.stored_rows import check_file, load_rows
from pipeline.cache.verify import Problem, contradictions
from pipeline.errors import CacheError, DamagedError
from pipeline.files import new_file
from pipeline.fingerprint import digest

_TOP = (MANIFEST, PROVENANCE, SEAL)

Advance = Callable[[int], None]


def push(folder: Path, url: str, *, advance: Advance | None = None) -> dict[str, int]:
    """Send the cache at `folder` to `url`, the manifest last; what lies there already is not sent again.

    Shards carry their checksum in their names, so one of the same name and size is the same. A fetch that
    falls between the last files, manifest and seal, is refused; it works once the seal has come.

    Args:
        folder: A sealed cache; every byte is checked before it is sent.
        url: A folder of any file system that fsspec knows: `s3://...`, `file://...`.
        advance: Told how many more bytes are done.

    Returns:
        Files and bytes sent, and files that were there.

    Raises:
        CacheError: There is no cache, or `url` holds other files or cannot be written.
        DamagedError: A file is not as it was written, here or after it was sent.
    """
    system, root = _open(url)
    manifest = load_manifest(folder)
    there = _sizes(system, root, url)
    sent = {"files_sent": 0, "bytes_sent": 0, "files_there": 0}
    stamps = Stamps(folder)
    for file, entry in sorted(manifest.files().items()):
        check_file(folder, file, entry.bytes, entry.xxh3, stamps)
        if shard_name(file) and there.get(file) == entry.bytes:
            sent["files_there"] += 1
        else:
            _send(system, folder, root, url, file, entry.bytes)
            sent["files_sent"] += 1
            sent["bytes_sent"] += entry.bytes
        if advance is not None:
            advance(entry.bytes)
    stamps.save()
    for file in _TOP:
        _send(system, folder, root, url, file, (folder / file).stat().st_size)
    return sent


def pull(
    url: str, folder: Path, *, wait: bool = False, mirror: bool = False, advance: Advance | None = None
) -> dict[str, int]:
    """Fetch the cache at `url` into `folder`; what lies there already, whole, is not fetched again.

    Args:
        url: Where `push` has sent it.
        folder: A folder that does not exist, or that holds an earlier state of the same cache.
        wait: Whether to wait for another process that writes `folder`, instead of refusing.
        mirror: Whether shards that are not at `url` are deleted, instead of refused.
        advance: Told how many more bytes are done.

    Returns:
        Files and bytes fetched, and files that were there.

    Raises:
        CacheError: There is no cache at `url`, or `folder` holds what is not at `url`.
        DamagedError: A file at `url` is not as it was written.
    """
    system, root = _open(url)
    contents, manifest = _sealed(system, root, url)
    fetched = {"files_fetched": 0, "bytes_fetched": 0, "files_there": 0}
    with locked(folder, wait=wait):
        refuse_foreign(folder)
        others = [file for file in files_in(folder) if shard_name(file) and file not in manifest.files()]
        if others and not mirror:
            raise CacheError(
                folder / others[0],
                expected=f"only shards that are at {url} too",
                got=f"{len(others)} more",
                remedy="push this cache first, or remove it (coldbrew cache rm), or pull into another folder",
            )
        for file in others:
            (folder / file).unlink()
        stamps = Stamps(folder)
        for file, entry in sorted(manifest.files().items()):
            path = folder / file
            if path.is_file() and path.stat().st_size == entry.bytes and stamps.checksum(path) == entry.xxh3:
                fetched["files_there"] += 1
            else:
                _receive(system, f"{root}/{file}", url, path, entry.xxh3)
                fetched["files_fetched"] += 1
                fetched["bytes_fetched"] += entry.bytes
            if advance is not None:
                advance(entry.bytes)
        stamps.save()
        for name in _TOP:
            with new_file(folder / name) as temporary:
                temporary.write_bytes(contents[name])
    return fetched


def fetched(url: str, *, advance: Advance | None = None) -> Path:
    """The cache at `url` as a folder of this machine, to be opened: only what has changed is fetched.

    The folder lies in the user's cache, `$COLDBREW_CACHE/pulled`, and follows what is at `url`. Another
    process that fetches the same is waited for.

    Args:
        url: Where `push` has sent it.
        advance: Told how many more bytes are done.

    Raises:
        CacheError: As of `pull`.
    """
    folder = home() / "pulled" / digest([url.rstrip("/")]).hex()
    pull(url, folder, wait=True, mirror=True, advance=advance)
    return folder


def manifest_at(url: str) -> Manifest:
    """The manifest of the cache at `url`, which its seal covers; nothing else is fetched.

    Raises:
        CacheError: There is no cache, or its manifest cannot be trusted.
    """
    return _sealed(*_open(url), url)[1]


def verify_at(url: str, *, advance: Advance | None = None) -> list[Problem]:
    """Which files of the cache at `url` are not as written; every byte is read there, and none kept.

    Where all are, what manifest and row table say of each other is checked too; what only a fetched copy can
    tell, whether a shard's rows are those that the table expects there, is left to `verify`.

    Args:
        url: Where `push` has sent it.
        advance: Told how many more bytes are done.

    Raises:
        CacheError: `url` cannot be read.
    """
    system, root = _open(url)
    try:
        _, manifest = _sealed(system, root, url)
    except CacheError as error:
        return [Problem(error.where, error.expected, error.got, error.remedy)]
    problems = []
    for file, entry in sorted(manifest.files().items()):
        got = _checksum(system, f"{root}/{file}", url)
        if got != entry.xxh3:
            problems.append(Problem(f"{url}/{file}", f"checksum {entry.xxh3}", got, "push the cache again"))
        if advance is not None:
            advance(entry.bytes)
    return problems or _contradictions(system, root, url, manifest)


def _contradictions(system: Any, root: str, url: str, manifest: Manifest) -> list[Problem]:
    with TemporaryDirectory() as kept:
        folder = Path(kept)
        (folder / ROWS).write_bytes(_fetch(system, root, url, ROWS))
        try:
            stored = load_rows(folder, manifest)
        except CacheError as error:
            return [Problem(f"{url}/{ROWS}", error.expected, error.got, "push the cache again")]
        return list(contradictions(url, manifest, stored, "push the cache again"))


def _checksum(system: Any, source: str, url: str) -> str:
    """The checksum of a file at a URL, or that there is none."""
    try:
        with system.open(source, "rb") as file:
            return stream_checksum(file.read)
    except FileNotFoundError:
        return "no such file"
    except (OSError, ValueError) as error:
        raise _unreachable(url, error) from error


def _sealed(system: Any, root: str, url: str) -> tuple[dict[str, bytes], Manifest]:
    """The three small files at a URL, and what the manifest says, the seal checked."""
    contents = {name: _fetch(system, root, url, name) for name in _TOP}
    check_seal(url, contents, remedy="push the cache again")
    return contents, parse_manifest(url, contents[MANIFEST], remedy="push the cache again")


def _open(url: str) -> tuple[Any, str]:
    try:
        system, root = fsspec.core.url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise CacheError(
            url,
            expected="a URL that fsspec can open",
            got=str(error),
            remedy="check it, or install the package of its file system (s3fs for s3://)",
        ) from error
    return system, str(root).rstrip("/")


def _sizes(system: Any, root: str, url: str) -> dict[str, int]:
    """The files at a URL, by their path in it, with their sizes."""
    try:
        system.invalidate_cache()
        found = system.find(root, detail=True)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise _unreachable(url, error) from error
    return {name.removeprefix(root).lstrip("/"): int(info["size"]) for name, info in found.items()}


def _send(system: Any, folder: Path, root: str, url: str, file: str, size: int) -> None:
    target = f"{root}/{file}"
    try:
        system.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
        system.put_file(str(folder / file), target)
        system.invalidate_cache()
        arrived = int(system.info(target)["size"])
    except (OSError, ValueError) as error:
        raise _unreachable(url, error) from error
    if arrived != size:
        raise DamagedError(
            f"{url}/{file}", expected=f"{size} bytes", got=f"{arrived} bytes", remedy="push the cache again"
        )


def _fetch(system: Any, root: str, url: str, name: str) -> bytes:
    try:
        return bytes(system.cat_file(f"{root}/{name}"))
    except FileNotFoundError as error:
        raise CacheError(
            url,
            expected=f"a target cache with its {name}",
            got="no such file",
            remedy="check the URL, or push",
        ) from error
    except (OSError, ValueError) as error:
        raise _unreachable(url, error) from error


def _receive(system: Any, source: str, url: str, path: Path, xxh3: str) -> None:
    try:
        with new_file(path) as temporary:
            system.get_file(source, str(temporary))
            got = file_checksum(temporary)
            if got != xxh3:
                raise DamagedError(
                    source, expected=f"checksum {xxh3}", got=got, remedy="push the cache again"
                )
    except FileNotFoundError as error:
        raise DamagedError(
            source, expected="a file of the cache", got="no such file", remedy="push the cache again"
        ) from error
    except OSError as error:
        raise _unreachable(url, error) from error


def _unreachable(url: str, error: Exception) -> CacheError:
    return CacheError(
        url,
        expected="a place that can be read and written",
        got=f"{type(error).__name__}: {error}",
        remedy="check the URL, its credentials and its free space, and run again: what was sent stays",
    )
