"""Conversion, comparison, removal and export, over every kind of file."""

import itertools
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.cache import BACKENDS
from pipeline.cache.convert import convert
from pipeline.cache.diff import diff
from pipeline.cache.layout import files_in
from pipeline.cache.manifest import load_manifest
from pipeline.cache.parquet import export
from pipeline.cache.reader import TargetCache
from pipeline.cache.remove import remove, remove_field
from pipeline.cache.verify import verify
from pipeline.errors import CacheError, DamagedError

PAIRS = list(itertools.permutations(BACKENDS.names(), 2))


@pytest.fixture(scope="session")
def every_kind(sealed_once: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The sealed cache in every kind of file."""
    home = tmp_path_factory.mktemp("kinds")
    folders = {"arrow": sealed_once}
    for backend in BACKENDS.names():
        if backend != "arrow":
            convert(sealed_once, home / backend, backend)
            folders[backend] = home / backend
    return folders


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
def test_any_kind_converts_to_any_other_without_loss(
    every_kind: dict[str, Path], tmp_path: Path, source: str, target: str
) -> None:
    convert(every_kind[source], tmp_path / "new", target)
    assert verify(tmp_path / "new") == []
    assert load_manifest(tmp_path / "new").identity == load_manifest(every_kind[source]).identity
    assert diff(every_kind[source], tmp_path / "new") == []
    # The way there does not matter: the bytes are those of a direct conversion.
    assert shards(tmp_path / "new") == shards(every_kind[target])


def shards(folder: Path) -> set[str]:
    """Names of shards, which hold their checksums."""
    return {file for file in files_in(folder) if file.startswith("shards/")}


def test_a_conversion_that_was_cut_off_goes_on(sealed: Path, tmp_path: Path) -> None:
    done: list[int] = []

    class Cut(Exception):
        pass

    def cut(count: int) -> None:
        done.append(count)
        if len(done) == 3:
            raise Cut

    with pytest.raises(Cut):
        convert(sealed, tmp_path / "new", "hdf5", advance=cut)
    with pytest.raises(CacheError):
        load_manifest(tmp_path / "new")
    whole = {file: (tmp_path / "new" / file).stat().st_mtime_ns for file in shards(tmp_path / "new")}
    assert len(whole) == 3
    broken = tmp_path / "new" / sorted(whole)[0]
    broken.write_bytes(broken.read_bytes()[:-1])
    convert(sealed, tmp_path / "new", "hdf5")
    assert diff(sealed, tmp_path / "new") == []
    kept = sorted(whole)[1:]
    assert all((tmp_path / "new" / file).stat().st_mtime_ns == whole[file] for file in kept)


def test_a_conversion_refuses_another_cache_s_folder(sealed: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(sealed, tmp_path / "other"))
    before = files_in(other)
    with pytest.raises(CacheError, match="shard of another cache or kind"):
        convert(sealed, other, "hdf5")
    with pytest.raises(CacheError, match="the source itself"):
        convert(sealed, sealed, "hdf5")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(CacheError, match="unknown file"):
        convert(sealed, tmp_path / "full", "hdf5")
    assert files_in(other) == before


def test_a_damaged_source_is_not_converted(sealed: Path, tmp_path: Path) -> None:
    shard = sealed / sorted(shards(sealed))[0]
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    with pytest.raises(DamagedError, match="cache repair"):
        convert(sealed, tmp_path / "new", "zarr")


@pytest.mark.parametrize("backend", BACKENDS.names())
def test_a_converted_cache_grows_and_a_wrong_kind_is_refused(
    filling: ModuleType, every_kind: dict[str, Path], tmp_path: Path, backend: str
) -> None:
    folder = Path(shutil.copytree(every_kind[backend], tmp_path / "cache"))
    rows = filling.make_rows(["new", *(f"row {at % 95}" for at in range(100))])
    teacher = filling.FakeTeacher(rows)
    filling.fill(filling.plan(folder, rows, filling.make_settings(backend=backend)), teacher)
    assert {row for asked, _ in teacher.asked for row in asked} == {0}
    assert verify(folder) == []
    other = "arrow" if backend != "arrow" else "zarr"
    with pytest.raises(CacheError, match="cache convert"):
        filling.plan(folder, rows, filling.make_settings(backend=other))


def test_a_difference_is_named(filling: ModuleType, sealed: Path, tmp_path: Path) -> None:
    def filled(name: str, rows: object = None, **changes: object) -> Path:
        table = rows if rows is not None else filling.make_rows([f"row {at % 95}" for at in range(100)])
        filling.fill(
            filling.plan(tmp_path / name, table, filling.make_settings(**changes)),
            filling.FakeTeacher(table),
        )
        return tmp_path / name

    def named(other: Path) -> str:
        return "\n".join(map(str, diff(sealed, other)))

    assert diff(sealed, filled("same")) == []
    assert "teacher weights: wwww" in named(
        filled("teacher", teacher={"weights": "other", "config": "c" * 32})
    )
    assert "tokenizer: tttt" in named(filled("tokenizer", tokenizer="other"))
    assert "settings max_length: 64 | 65" in named(filled("settings", numbers={"max_length": 65}))
    fewer = filling.make_rows([f"row {at}" for at in range(90)])
    assert "rows: 100, 10 alone | 90, 0 alone" in named(filled("rows", fewer))
    turned = filling.make_rows([f"row {at % 95}" for at in reversed(range(100))])
    assert "order of rows" in named(filled("order", turned))
    coarse = named(filled("coarse", fields={**filling.ALL_FIELDS, "span_logits": {"dtype": "int8"}}))
    assert "field span_logits, option dtype: float16 | int8" in coarse
    assert "of 100 rows | by at most 0.0" in coarse
    assert "field qa_attention: there | absent" in named(filled("less", fields={"span_logits": {}}))


def test_values_that_differ_under_equal_keys_are_found(
    filling: ModuleType, sealed: Path, tmp_path: Path
) -> None:
    rows = filling.make_rows([f"row {at % 95}" for at in range(100)])
    honest = filling.FakeTeacher(rows)

    def liar(asked: np.ndarray, fields: frozenset[str]) -> dict[str, object]:
        answer = honest(asked, fields)
        if "start_logits" in answer:
            values = answer["start_logits"].values.copy()
            values[0] += 2
            answer["start_logits"] = type(answer["start_logits"])(values, answer["start_logits"].offsets)
        return answer

    filling.fill(filling.plan(tmp_path / "other", rows, filling.make_settings()), liar)
    (found,) = diff(sealed, tmp_path / "other")
    assert found.what == "values of start_logits"
    assert found.one.endswith("of 100 rows")
    assert found.other == "by at most 2"


def test_removal_leaves_nothing_and_takes_nothing_else(sealed: Path, tmp_path: Path) -> None:
    (tmp_path / "neighbour").write_text("stays")
    (sealed / "notes.txt").write_text("mine")
    with pytest.raises(CacheError, match="unknown file"):
        remove(sealed)
    (sealed / "notes.txt").unlink()
    size = sum(file.stat().st_size for file in sealed.rglob("*") if file.is_file())
    assert remove(sealed) == size
    assert not sealed.exists()
    assert (tmp_path / "neighbour").exists()
    with pytest.raises(CacheError, match="no such folder"):
        remove(sealed)


def test_a_field_is_removed_alone_and_comes_back(filling: ModuleType, sealed: Path) -> None:
    before = load_manifest(sealed)
    freed = remove_field(sealed, "qa_attention")
    assert freed == sum(shard.bytes for shard in before.fields["qa_attention"].shards)
    assert verify(sealed) == []
    assert "qa_attention" not in TargetCache.open(sealed).fields
    for wrong in ("tokens", "qa_atention"):
        with pytest.raises(CacheError, match="expected a field of the cache"):
            remove_field(sealed, wrong)
    rows = filling.make_rows([f"row {at % 95}" for at in range(100)])
    teacher = filling.FakeTeacher(rows)
    filling.fill(filling.plan(sealed, rows, filling.make_settings()), teacher)
    assert {fields for _, fields in teacher.asked} == {frozenset({"qa_attention"})}
    assert load_manifest(sealed).fields == before.fields


@pytest.mark.parametrize("backend", ["arrow", "zarr_zstd"])
def test_parquet_holds_what_a_reader_gets(every_kind: dict[str, Path], tmp_path: Path, backend: str) -> None:
    counts = export(every_kind[backend], tmp_path / "out")
    assert counts == {"train": 100}
    table = pq.read_table(tmp_path / "out" / "train.parquet").to_pylist()
    cache = TargetCache.open(every_kind[backend])
    batch = cache.batch(np.arange(100), ["start_logits", "qa_attention", "top_starts", "passage_offsets"])
    assert len(table) == 100
    for at, line in enumerate(table):
        passage, question = batch["passage_length"][at], batch["question_length"][at]
        assert line["input_hash"] == cache.rows.input_hash[at].tobytes().hex()
        assert line["start_logits"] == batch["start_logits"][at, :passage].astype(np.float32).tolist()
        attention = batch["qa_attention"][at, :passage, :question].astype(np.float32)
        assert line["qa_attention"] == attention.tolist()
        assert line["top_starts"] == batch["top_starts"][at, : batch["span_length"][at]].tolist()
        assert line["passage_offsets"] == batch["passage_offsets"][at, :passage].tolist()
    export(every_kind[backend], tmp_path / "few", fields=["span_logits"])
    names = pq.read_schema(tmp_path / "few" / "train.parquet").names
    assert "start_logits" in names
    assert "qa_attention" not in names
    with pytest.raises(CacheError, match="name fields that the cache has"):
        export(every_kind[backend], tmp_path / "none", fields=["logits"])
