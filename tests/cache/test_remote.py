"""Caches at a URL, on a local folder and on a local S3 server."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import fsspec
import pytest
from moto.server import ThreadedMotoServer
from typer.testing import CliRunner

from pipeline.cache.describe import describe, summary
from pipeline.cache.diff import diff
from pipeline.cache.layout import files_in
from pipeline.cache.manifest import canonical, load_manifest, seal_bytes
from pipeline.cache.reader import TargetCache
from pipeline.cache.remote import fetched, manifest_at, pull, push, verify_at
from pipeline.cache.verify import verify
from pipeline.errors import CacheError, DamagedError
from stages.cache import app


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["file", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param == "file":
        yield f"file://{tmp_path}/remote/cache"
        return
    endpoint = request.getfixturevalue("s3_server")
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "FSSPEC_S3_ENDPOINT_URL": endpoint,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(fsspec.config.conf, "s3", {"endpoint_url": endpoint})
    fsspec.filesystem("s3").mkdir("bucket")
    yield "s3://bucket/targets/cache"
    fsspec.filesystem("s3").rm("bucket", recursive=True)


def remote(url: str) -> tuple[Any, str]:
    return fsspec.core.url_to_fs(url)


def test_what_was_pushed_comes_back_whole(url: str, sealed: Path, tmp_path: Path) -> None:
    sent = push(sealed, url)
    shards = [file for file in files_in(sealed) if file.startswith("shards/")]
    assert sent["files_sent"] == len(shards) + 1
    assert sent["files_there"] == 0
    fetched = pull(url, tmp_path / "copy")
    assert fetched["files_fetched"] == sent["files_sent"]
    assert verify(tmp_path / "copy") == []
    assert diff(sealed, tmp_path / "copy") == []
    assert files_in(tmp_path / "copy") == files_in(sealed)


def test_only_what_is_missing_travels(url: str, filling: ModuleType, sealed: Path, tmp_path: Path) -> None:
    push(sealed, url)
    pull(url, tmp_path / "copy")
    rows = filling.make_rows(["new", *(f"row {at % 95}" for at in range(100))])
    filling.fill(filling.plan(sealed, rows, filling.make_settings()), filling.FakeTeacher(rows))
    sent = push(sealed, url)
    # One new shard a field, and the table of rows.
    assert sent["files_sent"] == 4 + 1
    assert sent["files_there"] == 8
    fetched = pull(url, tmp_path / "copy")
    assert fetched["files_fetched"] == sent["files_sent"]
    assert verify(tmp_path / "copy") == []
    assert diff(sealed, tmp_path / "copy") == []
    assert push(sealed, url)["files_sent"] == 1


def test_damage_at_the_other_end_is_found(url: str, sealed: Path, tmp_path: Path) -> None:
    push(sealed, url)
    system, root = remote(url)
    shard = next(file for file in files_in(sealed) if file.startswith("shards/"))
    data = bytearray(system.cat_file(f"{root}/{shard}"))
    data[100] ^= 1
    system.pipe_file(f"{root}/{shard}", bytes(data))
    with pytest.raises(DamagedError, match="push the cache again"):
        pull(url, tmp_path / "copy")
    assert not (tmp_path / "copy" / "manifest.json").exists()
    assert not (tmp_path / "copy" / shard).exists()
    system.rm(f"{root}/{shard}")
    system.invalidate_cache()
    with pytest.raises(DamagedError, match="no such file"):
        pull(url, tmp_path / "copy")
    push(sealed, url)
    pull(url, tmp_path / "copy")
    assert verify(tmp_path / "copy") == []


def test_an_edited_manifest_is_refused(url: str, sealed: Path, tmp_path: Path) -> None:
    push(sealed, url)
    system, root = remote(url)
    text = system.cat_file(f"{root}/manifest.json")
    system.pipe_file(f"{root}/manifest.json", text.replace(b'"max_length": 64', b'"max_length": 65'))
    with pytest.raises(DamagedError, match="as sealed"):
        pull(url, tmp_path / "copy")


def test_there_is_no_cache(url: str, tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="no such file"):
        pull(url, tmp_path / "copy")


def test_a_damaged_cache_is_not_sent(sealed: Path, tmp_path: Path) -> None:
    shard = sealed / next(file for file in files_in(sealed) if file.startswith("shards/"))
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(DamagedError, match="cache repair"):
        push(sealed, f"file://{tmp_path}/remote")


def test_shards_that_the_other_end_lacks_are_not_lost(
    filling: ModuleType, sealed: Path, tmp_path: Path
) -> None:
    url = f"file://{tmp_path}/remote"
    push(sealed, url)
    ahead = Path(shutil.copytree(sealed, tmp_path / "ahead"))
    rows = filling.make_rows(["new", *(f"row {at % 95}" for at in range(100))])
    filling.fill(filling.plan(ahead, rows, filling.make_settings()), filling.FakeTeacher(rows))
    with pytest.raises(CacheError, match="push this cache first"):
        pull(url, ahead)
    assert verify(ahead) == []


def test_a_url_that_nothing_opens_is_named(sealed: Path) -> None:
    with pytest.raises(CacheError, match="expected a URL that fsspec can open"):
        push(sealed, "nonsense://bucket/cache")


def test_a_url_opens_as_a_folder_and_follows_what_is_there(
    url: str, filling: ModuleType, sealed: Path
) -> None:
    push(sealed, url)
    folder = fetched(url)
    assert diff(sealed, folder) == []
    times = {file: (folder / file).stat().st_mtime_ns for file in files_in(folder) if "shards" in file}
    assert fetched(f"{url}/") == folder
    assert {file: (folder / file).stat().st_mtime_ns for file in times} == times
    # Another teacher: other shards are sent, and the old ones cleared away at the other end.
    system, root = remote(url)
    system.rm(root, recursive=True)
    rows = filling.make_rows(["row 1", "row 2"])
    settings = filling.make_settings(teacher={"weights": "v" * 32, "config": "c" * 32})
    other = sealed.with_name("other")
    filling.fill(filling.plan(other, rows, settings), filling.FakeTeacher(rows))
    push(other, url)
    assert len(TargetCache.open(fetched(url))) == 2
    assert verify(folder) == []


def test_describing_fetches_no_shard(url: str, sealed: Path) -> None:
    push(sealed, url)
    system, root = remote(url)
    system.rm(f"{root}/shards", recursive=True)
    system.invalidate_cache()
    assert manifest_at(url) == load_manifest(sealed)
    assert summary(manifest_at(url), url) == {**describe(sealed), "folder": url}


def test_every_byte_at_a_url_is_read(url: str, sealed: Path) -> None:
    push(sealed, url)
    read: list[int] = []
    assert verify_at(url, advance=read.append) == []
    assert sum(read) == sum(entry.bytes for entry in load_manifest(sealed).files().values())
    system, root = remote(url)
    shards = [file for file in files_in(sealed) if file.startswith("shards/")]
    data = bytearray(system.cat_file(f"{root}/{shards[0]}"))
    data[-1] ^= 1
    system.pipe_file(f"{root}/{shards[0]}", bytes(data))
    system.rm(f"{root}/{shards[1]}")
    system.invalidate_cache()
    assert [(problem.file, problem.got == "no such file") for problem in verify_at(url)] == [
        (f"{url}/{shards[0]}", False),
        (f"{url}/{shards[1]}", True),
    ]
    system.rm(f"{root}/manifest.json")
    system.invalidate_cache()
    assert [problem.got for problem in verify_at(url)] == ["no such file"]


def test_what_a_remote_cache_says_against_itself(url: str, sealed: Path) -> None:
    manifest = json.loads((sealed / "manifest.json").read_text())
    manifest["rows"]["unique"] -= 1
    manifest["fields"]["top_spans"]["identity"] = "0" * 32
    data = canonical(manifest)
    (sealed / "manifest.json").write_bytes(data)
    (sealed / "seal.json").write_bytes(seal_bytes(data, (sealed / "provenance.jsonl").read_bytes()))
    push(sealed, url)
    told = [(problem.file, problem.expected.split()[0], problem.got) for problem in verify_at(url)]
    assert told == [(f"{url}/rows.arrow", "the", "other rows"), (url, "identity", "0" * 32)]


def test_the_commands_take_a_url(sealed: Path, tmp_path: Path) -> None:
    url = f"file://{tmp_path}/remote"
    push(sealed, url)
    run = CliRunner().invoke
    described = json.loads(run(app, ["describe", url, "--json"]).output)
    assert (described["folder"], described["rows"]) == (url, 100)
    assert run(app, ["verify", url]).output == f"{url}: every byte is as written\n"
    assert "keys and values agree" in run(app, ["diff", str(sealed), url]).output
    shard = next((tmp_path / "remote").glob("shards/*/*.arrow"))
    shard.write_bytes(shard.read_bytes()[:-1])
    assert run(app, ["verify", url]).exit_code == 1
