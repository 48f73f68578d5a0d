"""A reader written from FORMAT.md with plain pyarrow, h5py, zarr, numpy and json, and none of our code."""

import itertools
import json
import struct
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  (registers the filters of archives)
import numpy as np
import pyarrow as pa
import pytest
import xxhash
import zarr

from pipeline.cache import BACKENDS
from pipeline.cache.reader import TargetCache
from pipeline.cache.settle import TeacherShape, settle
from pipeline.cache.verify import verify

FIXED = {"bounds": 2}
Table = tuple[dict[str, list[np.ndarray]], dict[str, str]]


def read_arrow(path: Path) -> Table:
    table = pa.ipc.open_file(path.read_bytes()).read_all()
    columns = {name: [np.asarray(row.values) for row in table.column(name)] for name in table.column_names}
    return columns, {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}


def read_hdf5(path: Path) -> Table:
    with h5py.File(path) as file:
        names = file["columns"].asstr()[()].split("\n")
        columns = {name: rows(file["column"][name]) for name in names}
        return columns, {key: value.asstr()[()] for key, value in file["metadata"].items()}


def read_zarr(path: Path) -> Table:
    with zarr.storage.ZipStore(path, mode="r") as store:
        group = zarr.open_group(store, mode="r")
        columns = {name: rows(group[f"column/{name}"]) for name in group.attrs["columns"]}
        return columns, dict(group.attrs["metadata"])


def rows(stored: Any) -> list[np.ndarray]:
    values, offsets = stored["values"][:], stored["offsets"][:]
    return [values[start:end] for start, end in itertools.pairwise(offsets)]


READERS: dict[str, tuple[str, Callable[[Path], Table]]] = {
    "arrow": ("arrow", read_arrow),
    "arrow_zstd": ("arrowzst", read_arrow),
    "hdf5": ("h5", read_hdf5),
    "hdf5_zstd": ("h5zst", read_hdf5),
    "zarr": ("zarr", read_zarr),
    "zarr_zstd": ("zarrzst", read_zarr),
}


def hash_of(*parts: bytes) -> str:
    state = blake2b(digest_size=16)
    for part in parts:
        state.update(struct.pack("<Q", len(part)) + part)
    return state.hexdigest()


def xxh3(data: bytes) -> str:
    return xxhash.xxh3_64(data).hexdigest()


class PlainReader:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, sealed in json.loads((folder / "seal.json").read_text()).items():
            data = (folder / name).read_bytes()
            assert (len(data), xxh3(data)) == (sealed["bytes"], sealed["xxh3"])
        self.manifest = json.loads((folder / "manifest.json").read_text())
        assert (self.manifest["format"], self.manifest["version"]) == ("coldbrew-target-cache", 1)
        self.suffix, self.read = READERS[self.manifest["backend"]]
        listed, _ = self.table(self.manifest["rows"], read_arrow)
        self.rows = {name: values for name, (values,) in listed.items()}
        self.shards = {
            field: [self.table(shard) for shard in entry["shards"]]
            for field, entry in self.manifest["fields"].items()
        }

    def table(self, entry: dict[str, Any], read: Callable[[Path], Table] | None = None) -> Table:
        path = self.folder / entry["file"]
        data = path.read_bytes()
        assert (len(data), xxh3(data)) == (entry["bytes"], entry["xxh3"])
        return (read or self.read)(path)

    def row(self, position: int, column: str) -> np.ndarray:
        for field, entry in self.manifest["fields"].items():
            for described in entry["columns"]:
                if described["name"] == column:
                    shard = self.rows[f"{field}/shard"][position]
                    index = self.rows[f"{field}/index"][position]
                    columns = self.shards[field][shard][0]
                    values = columns[column][index]
                    assert values.dtype == described["dtype"]
                    axes = described["axes"]
                    extents = [self.extent(position, axis, described["extents"]) for axis in axes[1:]]
                    if extents:
                        first = described["extents"].get(axes[0])
                        if first is None:
                            first = len(values) // max(int(np.prod(extents)), 1)
                        values = values.reshape(first, *extents)
                    scales = columns.get(f"{column}_scale")
                    return decoded(values, described["encoding"], scales and scales[index])
        raise KeyError(column)

    def extent(self, position: int, axis: str, extents: dict[str, int]) -> int:
        if axis in FIXED or axis in extents:
            return FIXED.get(axis) or extents[axis]
        if axis == "token":
            return int(self.rows["length"][position])
        return len(self.row(position, f"{axis}_offsets"))


def decoded(values: np.ndarray, encoding: str | None, scales: np.ndarray | None) -> np.ndarray:
    if encoding is None:
        return values
    if encoding == "bfloat16":
        return (values.astype(np.uint32) * 2**16).view(np.float32)
    assert scales is not None
    product = values.astype(np.float32) * scales.reshape(-1, *[1] * (values.ndim - 1))
    return product * np.abs(product) if encoding == "int8_root" else product


ENCODINGS = [{"dtype": dtype} for dtype in ("float32", "float16", "bfloat16", "int8")]
ENCODINGS.append({"dtype": "int8", "scale": "token"})


@pytest.fixture
def plain(sealed: Path) -> PlainReader:
    return PlainReader(sealed)


@pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda options: "-".join(options.values()))
@pytest.mark.parametrize("backend", READERS)
def test_reads_what_the_package_reads(
    filling: ModuleType, tmp_path: Path, backend: str, encoding: dict[str, str]
) -> None:
    table = filling.make_rows([f"row {at % 95}" for at in range(100)])
    fields = {"span_logits": encoding, "top_spans": {"k": 3}, "qa_attention": encoding}
    settings = filling.make_settings(backend=backend, fields=fields)
    filling.fill(filling.plan(tmp_path / "cache", table, settings), filling.FakeTeacher(table))
    assert verify(tmp_path / "cache") == []
    plain = PlainReader(tmp_path / "cache")
    cache = TargetCache.open(tmp_path / "cache")
    stored = [name for name in cache.columns if not name.endswith("_scale")]
    every = filling.FakeTeacher(table)(np.arange(100), frozenset({"tokens", *fields}))
    for position in range(0, 100, 7):
        batch = cache.batch(np.array([position]), stored)
        for column in stored:
            value = plain.row(position, column)
            assert np.array_equal(batch[column][0], value)
            # And that is what the teacher said, as near as the encoding allows.
            given = every[column].row(position).reshape(value.shape)
            assert np.abs(value.astype(np.float64) - given).max(initial=0) < 0.08


@pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda options: "-".join(options.values()))
def test_reads_fields_of_layers(filling: ModuleType, tmp_path: Path, encoding: dict[str, str]) -> None:
    fields = {
        "hidden_states": {"layers": [2], **encoding},
        "sentence_vector": encoding,
        "gram": {"layers": [[1, 1], [0, 1]], **encoding},
        "fsp": {"layers": [[0, 0], [0, 1]], **encoding},
        "attention_scores": {"layers": [0], **encoding},
        "token_logits": encoding,
        "end_rows": encoding,
        "top_end_rows": {"k": 2, **encoding},
    }
    teacher = TeacherShape("a teacher", layers=2, width=5, num_heads=3, num_classes=2)
    settings = filling.make_settings(fields=settle(fields, teacher))
    table = filling.make_rows([f"row {at}" for at in range(20)])
    shaped = filling.ShapedTeacher(table, settings)
    filling.fill(filling.plan(tmp_path / "cache", table, settings), shaped)
    plain, cache = PlainReader(tmp_path / "cache"), TargetCache.open(tmp_path / "cache")
    for column in (column for name in settings.fields for column in settings.given(name)):
        for position in (0, 7, 19):
            value = plain.row(position, column.name)
            assert np.array_equal(cache.batch(np.array([position]), [column.name])[column.name][0], value)
            said = shaped.block(column, position)
            assert value.shape == said.shape
            assert np.abs(value.astype(np.float64) - said).max(initial=0) < 0.005


def test_labels_are_in_what_end_rows_go_by(filling: ModuleType, tmp_path: Path) -> None:
    table = filling.make_rows([f"row {at}" for at in range(20)])
    settings = filling.make_settings(fields={"end_rows": {}})
    filling.fill(filling.plan(tmp_path / "cache", table, settings), filling.ShapedTeacher(table, settings))
    plain = PlainReader(tmp_path / "cache")
    hashes, golds = (plain.rows[name].reshape(-1, 16) for name in ("input_hash", "gold_hash"))
    for position in range(20):
        shard, index = (plain.rows[f"end_rows/{name}"][position] for name in ("shard", "index"))
        known = plain.shards["end_rows"][shard][0]["input_hash"][index]
        assert known.tobytes().hex() == hash_of(hashes[position].tobytes(), golds[position].tobytes())


def test_every_backend_has_a_plain_reader() -> None:
    assert set(READERS) == set(BACKENDS.names())


def test_rows_are_as_described(plain: PlainReader, filling: ModuleType) -> None:
    table = filling.make_rows([f"row {at % 95}" for at in range(100)])
    described = plain.manifest["rows"]
    assert (described["count"], described["unique"], described["splits"]) == (100, 95, {"train": 100})
    hashes = plain.rows["input_hash"].reshape(-1, 16)
    assert np.array_equal(hashes, table.input_hash)
    assert plain.rows["occurrence"][95:].tolist() == [1] * 5
    order = hash_of(hashes.tobytes(), plain.rows["occurrence"].astype("<i4").tobytes())
    assert order == described["order"]


def test_keys_and_identities_are_as_described(plain: PlainReader) -> None:
    for field, entry in plain.manifest["fields"].items():
        for shard, (columns, metadata) in zip(entry["shards"], plain.shards[field], strict=True):
            covered = json.dumps(json.loads(metadata["covers"]), sort_keys=True, ensure_ascii=False)
            covers = hash_of(covered.encode())
            assert covers == entry["covers"]
            hashes = b"".join(row.tobytes() for row in columns["input_hash"])
            key = hash_of(covers.encode(), metadata["block"].encode(), hashes)
            assert key == shard["key"]
            assert shard["file"] == f"shards/{field}/{key}-{shard['xxh3']}.{plain.suffix}"
            assert (shard["rows"], shard["block"]) == (len(columns["input_hash"]), int(metadata["block"]))
        keys = [shard["key"].encode() for shard in entry["shards"]]
        assert hash_of(bytes.fromhex(plain.manifest["rows"]["order"]), *keys) == entry["identity"]


def test_arrow_files_are_plain(plain: PlainReader, sealed: Path) -> None:
    for file in sealed.rglob("*.arrow"):
        with pa.memory_map(str(file)) as source:
            reader = pa.ipc.open_file(source)
            assert reader.num_record_batches == 1
            for field in reader.schema:
                assert pa.types.is_large_list(field.type)
                assert not field.nullable
                assert not field.type.value_field.nullable


def test_json_is_spelt_as_described(sealed: Path) -> None:
    for name in ("manifest.json", "seal.json"):
        text = (sealed / name).read_text()
        again = json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False)
        assert text == f"{again}\n"
