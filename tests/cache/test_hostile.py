"""Caches that mean harm: sealed well, checksums right, and lying."""

import contextlib
import copy
import json
import math
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pipeline
from pipeline.cache import BACKENDS
from pipeline.cache.checksum import file_checksum
from pipeline.cache.convert import convert
from pipeline.cache.layout import files_in
from pipeline.cache.manifest import canonical, load_manifest, seal_bytes
from pipeline.cache.plan import plan
from pipeline.cache.ragged import Ragged
from pipeline.cache.reader import TargetCache
from pipeline.cache.verify import verify
from pipeline.errors import CacheError

KINDS = [name for name in BACKENDS.names() if not name.endswith("_zstd")]
LIKE_OTHERS = ["arrow_zstd", "hdf5_zstd"]
COLUMNS = ["start_logits", "passage_offsets", "question_offsets", "top_starts", "qa_attention"]


def seal_as(folder: Path, data: bytes) -> None:
    """Write a manifest, whatever it is, and a seal that is right."""
    (folder / "manifest.json").write_bytes(data)
    (folder / "seal.json").write_bytes(seal_bytes(data, (folder / "provenance.jsonl").read_bytes()))


def manifest_of(folder: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return value


# What is opened

# Where the reader asks how much memory there is, once a cache has opened.
MEMORY = ["/proc/meminfo", "/sys/fs/cgroup/memory.max"]

_opened: list[str] = []
_listening = False


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if _listening and event in ("open", "os.listdir", "os.scandir"):
        _opened.append(os.fsdecode(arguments[0]) if isinstance(arguments[0], str | bytes) else "")


sys.addaudithook(_hear)


@contextlib.contextmanager
def nothing_outside(folder: Path) -> Iterator[None]:
    """Python opens and lists nothing in the block but what lies in a cache, or is the checksums' or code."""
    global _listening
    _opened.clear()
    _listening = True
    try:
        yield
    finally:
        _listening = False
    home = Path(os.environ["COLDBREW_CACHE"])
    outside = [
        path
        for path in _opened
        if path
        and path not in MEMORY
        and not Path(path).resolve().is_relative_to(folder.resolve())
        and not Path(path).is_relative_to(home)
        and "site-packages" not in path
        and not path.endswith((".py", ".pyc", ".nbi", ".nbc"))
        # Whether a cache fits into memory is asked of the kernel.
        and path not in ("/proc/meminfo", "/sys/fs/cgroup/memory.max")
    ]
    assert outside == []


# Manifests

SHARD = ("fields", "span_logits", "shards", 0)
FIELD = ("fields", "span_logits")
_name = f"{'0' * 32}-{'0' * 16}.arrow"
VALUES: dict[str, tuple[tuple[str | int, ...], Any]] = {
    "leaves": ((*SHARD, "file"), "../../secret.arrow"),
    "leaves in the middle": ((*SHARD, "file"), f"shards/../../{_name}"),
    "leaves by the field": ((*SHARD, "file"), f"shards/../{_name}"),
    "absolute": ((*SHARD, "file"), "/etc/passwd"),
    "a nul": ((*SHARD, "file"), f"shards/span_logits/{_name}\0"),
    "a line more": ((*SHARD, "file"), f"shards/span_logits/{_name}\n"),
    "other digits": ((*SHARD, "file"), f"shards/span_logits/{'٣' * 32}-{'0' * 16}.arrow"),
    "a url": ((*SHARD, "file"), "https://example.org/shard.arrow"),
    "rows elsewhere": (("rows", "file"), "../rows.arrow"),
    "loose elsewhere": (("unreferenced",), [{"file": "../x", "bytes": 1, "xxh3": "0" * 16}]),
    "2**60 rows": (("rows", "count"), 2**60),
    "2**60 rows a shard": ((*SHARD, "rows"), 2**60),
    "2**60 bytes": ((*SHARD, "bytes"), 2**60),
    "2**60 bytes of rows": (("rows", "bytes"), 2**60),
    "2**60 a block": ((*SHARD, "block"), 2**200),
    "negative rows": ((*SHARD, "rows"), -1),
    "negative bytes": ((*SHARD, "bytes"), -(2**63)),
    "a fraction": ((*SHARD, "rows"), 64.0),
    "true": ((*SHARD, "rows"), True),
    "no number": ((*SHARD, "rows"), None),
    "no shards": ((*FIELD, "shards"), []),
    "no columns": ((*FIELD, "columns"), []),
    "a hundred thousand axes": ((*FIELD, "columns", 0, "axes"), ["passage"] * 100_000),
    "another encoding": ((*FIELD, "columns", 0, "encoding"), "bfloat16"),
    "other options": ((*FIELD, "options"), {"dtype": "float32"}),
    "another teacher": (("teacher", "weights"), "x" * 32),
    "a linked name": (("fields", "span_logits/../tokens"), {}),
}


def with_value(manifest: dict[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(manifest)
    place: Any = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return changed


def nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


def twice(manifest: dict[str, Any]) -> dict[str, Any]:
    changed = copy.deepcopy(manifest)
    changed["fields"]["span_logits"]["shards"] *= 2
    return changed


def as_another_field(manifest: dict[str, Any]) -> dict[str, Any]:
    changed = copy.deepcopy(manifest)
    changed["fields"]["span_logitz"] = changed["fields"].pop("span_logits")
    return changed


def two_columns_of_a_name(manifest: dict[str, Any]) -> dict[str, Any]:
    changed = copy.deepcopy(manifest)
    changed["fields"]["span_logits"]["columns"] *= 2
    return changed


TEXTS: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "a shard twice": lambda manifest: canonical(twice(manifest)),
    "under another name": lambda manifest: canonical(as_another_field(manifest)),
    "two columns of a name": lambda manifest: canonical(two_columns_of_a_name(manifest)),
    "a name twice": lambda manifest: canonical(manifest).replace(
        b'  "version": 1', b'  "version": 2,\n  "version": 1'
    ),
    "beyond all floats": lambda manifest: canonical(with_value(manifest, ("settings", "x"), "HERE")).replace(
        b'"HERE"', b"1e999"
    ),
    "an error beyond all floats": lambda manifest: canonical(
        with_value(manifest, (*FIELD, "error", "start_logits", "mean"), "HERE")
    ).replace(b'"HERE"', b"-1e999"),
    "not a number": lambda manifest: json.dumps(with_value(manifest, ("settings", "x"), math.nan)).encode(),
    "infinity": lambda manifest: json.dumps(with_value(manifest, (*SHARD, "rows"), math.inf)).encode(),
    "five thousand digits": lambda manifest: canonical(
        with_value(manifest, (*SHARD, "rows"), "HERE")
    ).replace(b'"HERE"', b"9" * 5000),
    "half a letter": lambda manifest: json.dumps(
        with_value(manifest, ("tokenizer",), "\ud800"), indent=2, sort_keys=True
    ).encode(),
    "another spelling": lambda manifest: json.dumps(manifest).encode(),
    "deep": lambda manifest: json.dumps(manifest).encode()[:-1] + b', "x": ' + b"[" * 50_000 + b"}",
    "less deep": lambda manifest: canonical(with_value(manifest, ("settings", "x"), "HERE")).replace(
        b'"HERE"', b"[" * 900 + b"]" * 900
    ),
    "a list": lambda manifest: b"[]\n",
    "nothing": lambda manifest: b"",
}
for _lie, (_path, _value) in VALUES.items():
    TEXTS[_lie] = lambda manifest, path=_path, value=_value: canonical(  # type: ignore[misc]
        with_value(manifest, path, value)
    )


def in_a_child(good: Path, folders: dict[str, Path]) -> dict[str, str]:
    """How opening each folder ended, in a process with little memory."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("opening.py"))],
        input="\n".join(map(str, [good, *folders.values()])),
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(pipeline.__file__).parents[1],
        env={**os.environ, "PYTHONPATH": "."},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    return {name: told[str(folder)] for name, folder in folders.items()}


def test_lying_manifests_are_refused_and_nothing_outside_is_opened(sealed: Path, tmp_path: Path) -> None:
    whole = (sealed / "manifest.json").read_bytes()
    for name, lie in TEXTS.items():
        seal_as(sealed, lie(json.loads(whole)))
        with nothing_outside(sealed):
            with pytest.raises(CacheError):
                TargetCache.open(sealed)
            assert verify(sealed) != [], name
    seal_as(sealed, whole)
    assert verify(sealed) == []


def test_lying_manifests_take_no_memory(sealed: Path, tmp_path: Path) -> None:
    folders = {}
    for number, (name, lie) in enumerate(TEXTS.items()):
        folders[name] = Path(shutil.copytree(sealed, tmp_path / str(number)))
        seal_as(folders[name], lie(manifest_of(sealed)))
    huge = folders["a huge manifest"] = Path(shutil.copytree(sealed, tmp_path / "huge"))
    os.truncate(huge / "manifest.json", 2**40)
    ended = in_a_child(sealed, folders)
    assert {name: text for name, text in ended.items() if " CacheError " not in text} == {}


def nasty() -> st.SearchStrategy[Any]:
    scalars = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.sampled_from([2**31, 2**60, 2**62, -(2**63), 10**30, 1e300, -1, 0, 1, 64])
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=8)
        | st.sampled_from(["../x", "/etc/passwd", "0" * 16, "0" * 32, "tokens", "passage", "row", "int8"])
    )
    return scalars | st.lists(scalars, max_size=3) | st.dictionaries(st.text(max_size=4), scalars, max_size=3)


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    steps: Any = value.items() if isinstance(value, dict) else []
    for step, inner in enumerate(value) if isinstance(value, list) else steps:
        yield (*path, step)
        yield from places(inner, (*path, step))


@st.composite
def mutated(draw: st.DrawFn, manifest: dict[str, Any]) -> dict[str, Any]:
    """A manifest with up to three changes."""
    changed = copy.deepcopy(manifest)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(changed))))
        place: Any = changed
        for step in path[:-1]:
            place = place[step]
        other: Any = changed
        source = draw(st.sampled_from(list(places(changed))))
        for step in source:
            other = other[step]
        how = draw(st.sampled_from(["replace", "remove", "copy", "add", "double"]))
        if how == "replace":
            place[path[-1]] = draw(nasty())
        elif how == "copy":
            place[path[-1]] = copy.deepcopy(other)
        elif how == "remove":
            del place[path[-1]]
        elif isinstance(place, list):
            place.append(copy.deepcopy(place[path[-1]]) if how == "double" else draw(nasty()))
        else:
            name = draw(st.sampled_from(["x", "../x", "tokens", "span_logits"]))
            place[name] = copy.deepcopy(place[path[-1]]) if how == "double" else draw(nasty())
        if not changed:
            break
    return changed


@pytest.fixture(scope="module")
def to_lie_in(sealed_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(sealed_once, tmp_path_factory.mktemp("lies") / "cache"))


def fuzz(folder: Path, whole: Path, examples: int) -> None:
    manifest = manifest_of(whole)
    every = np.arange(100)
    expected = TargetCache.open(whole).batch(every, COLUMNS)

    @settings(
        deadline=None,
        max_examples=examples,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(changed=mutated(manifest))
    def one(changed: dict[str, Any]) -> None:
        seal_as(folder, canonical(changed))
        with nothing_outside(folder):
            try:
                got = TargetCache.open(folder).batch(every, COLUMNS)
            except CacheError:
                return
        assert got.keys() == expected.keys()
        assert all(np.array_equal(got[name], expected[name]) for name in expected)

    one()


def test_mutated_manifests_open_to_the_same_or_are_refused(to_lie_in: Path, sealed_once: Path) -> None:
    fuzz(to_lie_in, sealed_once, 150)


@pytest.mark.slow
def test_thousands_of_mutated_manifests(to_lie_in: Path, sealed_once: Path) -> None:
    fuzz(to_lie_in, sealed_once, 5000)


# Rows


def lying(values: np.ndarray, offsets: np.ndarray) -> Ragged:
    """A column that no check has seen."""
    column = object.__new__(Ragged)
    object.__setattr__(column, "values", values)
    object.__setattr__(column, "offsets", offsets)
    return column


def one_row(values: np.ndarray) -> Ragged:
    return lying(values, np.array([0, len(values)]))


ROWS: dict[str, Callable[[dict[str, Ragged]], object]] = {
    "no places": lambda rows: rows.pop("span_logits/index"),
    "a shard that is not listed": lambda rows: rows.update(
        {"tokens/shard": one_row(np.full(100, 2, np.int32))}
    ),
    "far away": lambda rows: rows.update({"tokens/index": one_row(np.full(100, 2**31 - 1, np.int32))}),
    "before the first": lambda rows: rows.update({"tokens/index": one_row(np.full(100, -1, np.int32))}),
    "the smallest number": lambda rows: rows.update(
        {"tokens/shard": one_row(np.full(100, -(2**31), np.int32))}
    ),
    "wide places": lambda rows: rows.update({"tokens/index": one_row(np.zeros(100, np.int64))}),
    "fewer places": lambda rows: rows.update({"tokens/index": one_row(np.zeros(99, np.int32))}),
    "fewer hashes": lambda rows: rows.update({"input_hash": one_row(np.zeros(99 * 16, np.uint8))}),
    "half a hash": lambda rows: rows.update({"gold_hash": one_row(np.zeros(100 * 16 - 8, np.uint8))}),
    "no such split": lambda rows: rows.update({"split": one_row(np.full(100, 1, np.int8))}),
    "a split before the first": lambda rows: rows.update({"split": one_row(np.full(100, -1, np.int8))}),
    "no rows": lambda rows: rows.update({"occurrence": one_row(np.empty(0, np.int32))}),
    "other lengths": lambda rows: rows.update({"length": one_row(np.zeros(3, np.int32))}),
}


def test_lying_row_tables_are_refused(sealed: Path, tmp_path: Path) -> None:
    arrow = BACKENDS.load("arrow")()
    folders = {}
    for number, (name, lie) in enumerate(ROWS.items()):
        folder = folders[name] = Path(shutil.copytree(sealed, tmp_path / str(number)))
        columns, metadata = arrow.open(folder / "rows.arrow")
        columns = dict(columns)
        lie(columns)
        (folder / "rows.arrow").unlink()
        arrow.write(folder / "rows.arrow", columns, metadata)
        manifest = manifest_of(folder)
        size, checksum = (folder / "rows.arrow").stat().st_size, file_checksum(folder / "rows.arrow")
        manifest["rows"] |= {"bytes": size, "xxh3": checksum}
        seal_as(folder, canonical(manifest))
    ended = in_a_child(sealed, folders)
    assert {name: text for name, text in ended.items() if not text.startswith("DamagedError")} == {}


# Shards


@pytest.fixture(scope="module")
def every_kind(sealed_once: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("kinds")
    for backend in BACKENDS.names():
        convert(sealed_once, home / backend, backend)
    return {backend: home / backend for backend in BACKENDS.names()}


def changed_offsets(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[dict[str, Ragged]], None]:
    def lie(columns: dict[str, Ragged]) -> None:
        column = columns["start_logits"]
        columns["start_logits"] = lying(column.values, change(column.offsets.copy()))

    return lie


def at(place: int, value: int) -> Callable[[np.ndarray], np.ndarray]:
    def change(offsets: np.ndarray) -> np.ndarray:
        offsets[place] = value
        return offsets

    return change


def moved(columns: dict[str, Ragged]) -> None:
    """A value of one row given to the next: all sums hold."""
    column = columns["start_logits"]
    offsets = column.offsets.copy()
    offsets[1] += 1
    columns["start_logits"] = lying(column.values, offsets)


SHARDS: dict[str, Callable[[dict[str, Ragged]], object]] = {
    "beyond the end": changed_offsets(at(-1, 2**40)),
    "far beyond the end": changed_offsets(at(-1, 2**62)),
    "one beyond": changed_offsets(lambda offsets: offsets + (np.arange(len(offsets)) == len(offsets) - 1)),
    "negative": changed_offsets(at(3, -8)),
    "negative from the first": changed_offsets(at(0, -8)),
    "not from 0": changed_offsets(at(0, 1)),
    "up and down": changed_offsets(at(3, 2**40)),
    "of another type": changed_offsets(lambda offsets: offsets.astype(np.int32)),
    "fewer rows": changed_offsets(lambda offsets: np.concatenate([offsets[:-2], offsets[-1:]])),
    "no rows at all": lambda columns: columns.update(
        start_logits=lying(np.empty(0, np.float16), np.zeros(1, np.int64))
    ),
    "other values": lambda columns: columns.update(
        start_logits=lying(columns["start_logits"].values.view(np.int16), columns["start_logits"].offsets)
    ),
    "no hashes": lambda columns: columns.pop("input_hash"),
    "no column": lambda columns: columns.pop("end_logits"),
    "another column": lambda columns: columns.update(more=columns["end_logits"]),
}


def reshard(folder: Path, write: Callable[[Path, dict[str, Ragged], dict[str, str]], object]) -> None:
    """Write a shard anew with `write`, under a name and in a manifest that say so."""
    manifest = manifest_of(folder)
    entry = manifest["fields"]["span_logits"]["shards"][0]
    old = folder / entry["file"]
    columns, metadata = BACKENDS.load(manifest["backend"])().open(old)
    new = old.with_name("new")
    write(new, dict(columns), metadata)
    old.unlink()
    checksum = file_checksum(new)
    entry |= {"bytes": new.stat().st_size, "xxh3": checksum}
    entry["file"] = f"shards/span_logits/{entry['key']}-{checksum}{old.suffix}"
    new.rename(folder / entry["file"])
    seal_as(folder, canonical(manifest))


def h5_lies(secret: Path) -> dict[str, Callable[[h5py.File], object]]:
    def replaced(file: h5py.File, name: str, link: object) -> None:
        del file[name]
        file[name] = link

    def external_values(file: h5py.File) -> None:
        shape = file["column/start_logits/values"].shape
        del file["column/start_logits/values"]
        file.create_dataset(
            "column/start_logits/values", shape, "f2", external=[(str(secret), 0, h5py.h5f.UNLIMITED)]
        )

    def virtual_values(file: h5py.File) -> None:
        shape = file["column/start_logits/values"].shape
        layout = h5py.VirtualLayout(shape, "f2")
        layout[:] = h5py.VirtualSource(str(secret), "column/start_logits/values", shape)
        del file["column/start_logits/values"]
        file.create_virtual_dataset("column/start_logits/values", layout)

    def claims(file: h5py.File) -> None:
        del file["column/start_logits/values"]
        file.create_dataset("column/start_logits/values", (2**58,), "f2", chunks=(2**20,))

    def text_claims(file: h5py.File) -> None:
        del file["metadata/covers"]
        file.create_dataset("metadata/covers", (), h5py.string_dtype("utf-8", 2**31 - 1))

    def variable_text(file: h5py.File) -> None:
        del file["metadata/covers"]
        file["metadata/covers"] = "{}"

    return {
        "values in another file": external_values,
        "values of another cache": virtual_values,
        "2**58 values": claims,
        "a text of 2 GB": text_claims,
        "a text of no length": variable_text,
        "a column of another file": lambda file: replaced(
            file, "column/start_logits", h5py.ExternalLink(str(secret), "column/start_logits")
        ),
        "all columns of another file": lambda file: replaced(
            file, "column", h5py.ExternalLink(str(secret), "column")
        ),
        "metadata of another file": lambda file: replaced(
            file, "metadata/covers", h5py.ExternalLink(str(secret), "metadata/covers")
        ),
        "all metadata of another file": lambda file: replaced(
            file, "metadata", h5py.ExternalLink(str(secret), "metadata")
        ),
        "names of another file": lambda file: replaced(
            file, "columns", h5py.ExternalLink(str(secret), "columns")
        ),
        "a link inside": lambda file: replaced(
            file, "column/start_logits/values", h5py.SoftLink("/column/end_logits/values")
        ),
        "big-endian": lambda file: replaced(
            file, "column/start_logits/values", file["column/end_logits/values"][:].astype(">f2")
        ),
    }


def in_metadata(*path: str | int, value: Any) -> Callable[[dict[str, bytes]], None]:
    """Change what a Zarr store says of its first column's values."""

    def change(members: dict[str, bytes]) -> None:
        name = "column/start_logits/values/zarr.json"
        members[name] = json.dumps(with_value(json.loads(members[name]), path, value)).encode()

    return change


GRID = ("chunk_grid", "configuration", "chunk_shape")
ZARR_LIES: dict[str, Callable[[dict[str, bytes]], object]] = {
    "2**58 values": in_metadata("shape", value=[2**58]),
    "2**58 values a chunk": lambda members: [
        in_metadata("shape", value=[2**58])(members),
        in_metadata(*GRID, value=[2**58])(members),
    ],
    "2**30 values": in_metadata("shape", value=[2**30]),
    "a negative shape": in_metadata("shape", value=[-1]),
    "two axes": in_metadata("shape", value=[1, 4]),
    "big-endian": in_metadata("codecs", 0, "configuration", "endian", value="big"),
    "another type": in_metadata("data_type", value="float64"),
    "text": in_metadata("data_type", value="string"),
    "an unknown codec": in_metadata("codecs", 0, "name", value="pickle"),
    "no codecs": in_metadata("codecs", value=[]),
    "no metadata": lambda members: members.pop("column/start_logits/values/zarr.json"),
    "no chunk": lambda members: members.pop("column/start_logits/values/c/0"),
    "names that leave": lambda members: members.update(
        {"zarr.json": members["zarr.json"].replace(b'"start_logits"', b'"../../start_logits"')}
    ),
}


def rezipped(path: Path, change: Callable[[dict[str, bytes]], object]) -> None:
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)


@pytest.mark.parametrize(
    "backend", [*KINDS, "zarr_zstd", *(pytest.param(kind, marks=pytest.mark.slow) for kind in LIKE_OTHERS)]
)
def test_lying_shards_are_refused(every_kind: dict[str, Path], tmp_path: Path, backend: str) -> None:
    writer = BACKENDS.load(backend)()
    good = every_kind[backend]
    folders: dict[str, Path] = {}

    def try_lie(name: str, write: Callable[[Path, dict[str, Ragged], dict[str, str]], object]) -> None:
        folder = Path(shutil.copytree(good, tmp_path / name.replace("*", "")))
        try:
            reshard(folder, write)
        except (ValueError, TypeError):
            return  # no file of this kind can say so
        folders[name] = folder

    # Arrow's writer turns these into what they stand for.
    mended = {"not from 0", "of another type"} if backend.startswith("arrow") else set()
    for name, lie in SHARDS.items():
        if name in mended:
            continue

        def write(path: Path, columns: dict[str, Ragged], metadata: dict[str, str], lie: Any = lie) -> None:
            honest = columns["start_logits"]
            lie(columns)
            try:
                writer.write(path, columns, metadata)
            except (ValueError, TypeError):
                if backend != "arrow" or columns["start_logits"].offsets.nbytes != honest.offsets.nbytes:
                    raise
                # Arrow writes no such offsets, so they are put in afterwards.
                path.unlink(missing_ok=True)
                writer.write(path, columns | {"start_logits": honest}, metadata)
                true, false = (column.offsets.tobytes() for column in (honest, columns["start_logits"]))
                assert true in path.read_bytes()
                path.write_bytes(path.read_bytes().replace(true, false, 1))

        try_lie(name, write)
    if backend.startswith("hdf5"):
        secret = tmp_path / "secret.h5"
        shard = next(file for file in files_in(good) if file.startswith("shards/span_logits/"))
        shutil.copy(good / shard, secret)
        for name, change in h5_lies(secret).items():

            def write_h5(
                path: Path, columns: dict[str, Ragged], metadata: dict[str, str], change: Any = change
            ) -> None:
                writer.write(path, columns, metadata)
                with h5py.File(path, "r+") as file:
                    change(file)

            try_lie(name, write_h5)
    if backend.startswith("zarr"):
        for name, change in ZARR_LIES.items():

            def write_zarr(
                path: Path, columns: dict[str, Ragged], metadata: dict[str, str], change: Any = change
            ) -> None:
                writer.write(path, columns, metadata)
                rezipped(path, change)

            try_lie(name, write_zarr)
    assert len(folders) >= 6
    ended = in_a_child(good, folders)
    assert {name: text for name, text in ended.items() if not text.startswith("DamagedError")} == {}


@pytest.mark.parametrize("backend", KINDS)
def test_columns_that_disagree_are_seen(every_kind: dict[str, Path], tmp_path: Path, backend: str) -> None:
    folder = Path(shutil.copytree(every_kind[backend], tmp_path / "cache"))

    def write(path: Path, columns: dict[str, Ragged], metadata: dict[str, str]) -> None:
        moved(columns)
        BACKENDS.load(backend)().write(path, columns, metadata)

    reshard(folder, write)
    TargetCache.open(folder)
    (problem,) = verify(folder)
    assert "row 0" in problem.file
    assert problem.expected.endswith("values of start_logits (passage)")
    assert problem.remedy.startswith("run `coldbrew cache repair")


# Things that are no files


def test_pipes_and_links_are_never_read(filling: ModuleType, sealed: Path, tmp_path: Path) -> None:
    rows = filling.make_rows([f"row {at % 95}" for at in range(100)])
    shard = load_manifest(sealed).fields["tokens"].shards[0].file
    for file in (shard, "rows.arrow", "manifest.json", "seal.json", "provenance.jsonl"):
        whole = (sealed / file).read_bytes()
        (sealed / file).unlink()
        os.mkfifo(sealed / file)
        with pytest.raises(CacheError):
            TargetCache.open(sealed)
        assert verify(sealed) != []
        if file == shard:
            assert len(plan(sealed, rows, filling.make_settings()).fields["tokens"].missing) == 1
        with pytest.raises(CacheError, match="unknown file"):
            filling.fill(plan(sealed, rows, filling.make_settings()), filling.FakeTeacher(rows))
        (sealed / file).unlink()
        (sealed / file).symlink_to("/dev/zero")
        with pytest.raises(CacheError):
            TargetCache.open(sealed)
        assert verify(sealed) != []
        (sealed / file).unlink()
        (sealed / file).write_bytes(whole)
    assert verify(sealed) == []
