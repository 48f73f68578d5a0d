"""A reader written from FORMAT.md with plain pyarrow, numpy and json, without this package's code."""

import json
import struct
from hashlib import blake2b
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import xxhash

from pipeline.cache.reader import TargetCache

FIXED = {"bounds": 2}


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
        rows, _ = self.table(self.manifest["rows"])
        self.rows = {name: values for name, ((values,)) in rows.items()}
        self.shards = {
            field: [self.table(shard) for shard in entry["shards"]]
            for field, entry in self.manifest["fields"].items()
        }

    def table(self, entry: dict[str, Any]) -> tuple[dict[str, list[np.ndarray]], dict[str, str]]:
        data = (self.folder / entry["file"]).read_bytes()
        assert (len(data), xxh3(data)) == (entry["bytes"], entry["xxh3"])
        table = pa.ipc.open_file(data).read_all()
        columns = {
            name: [np.asarray(row.values) for row in table.column(name)] for name in table.column_names
        }
        metadata = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
        return columns, metadata

    def row(self, position: int, column: str) -> np.ndarray:
        for field, entry in self.manifest["fields"].items():
            for described in entry["columns"]:
                if described["name"] == column:
                    shard = self.rows[f"{field}/shard"][position]
                    index = self.rows[f"{field}/index"][position]
                    values = self.shards[field][shard][0][column][index]
                    assert values.dtype == described["dtype"]
                    axes = described["axes"]
                    if len(axes) == 1:
                        return values
                    return values.reshape(-1, FIXED.get(axes[1]) or self.extent(position, axes[1]))
        raise KeyError(column)

    def extent(self, position: int, axis: str) -> int:
        return len(self.row(position, f"{axis}_offsets"))


@pytest.fixture
def plain(sealed: Path) -> PlainReader:
    return PlainReader(sealed)


def test_reads_what_the_package_reads(plain: PlainReader, sealed: Path) -> None:
    cache = TargetCache.open(sealed)
    for position in range(0, 100, 7):
        batch = cache.batch(np.array([position]), list(cache.columns))
        for column in cache.columns:
            assert np.array_equal(batch[column][0], plain.row(position, column))


def test_rows_are_as_described(plain: PlainReader, filling: ModuleType) -> None:
    rows = filling.make_rows([f"row {at % 95}" for at in range(100)])
    described = plain.manifest["rows"]
    assert (described["count"], described["unique"], described["splits"]) == (100, 95, {"train": 100})
    hashes = plain.rows["input_hash"].reshape(-1, 16)
    assert np.array_equal(hashes, rows.input_hash)
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
            assert shard["file"] == f"shards/{field}/{key}-{shard['xxh3']}.arrow"
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
