"""What every cache backend must do, over all of the table."""

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.cache import BACKENDS
from pipeline.cache.ragged import Backend, Ragged
from pipeline.errors import CacheError, DamagedError

DTYPES = ("uint8", "uint16", "int8", "int32", "int64", "float16", "float32")


@pytest.fixture(params=BACKENDS.names())
def backend(request: pytest.FixtureRequest) -> Backend:
    return BACKENDS.load(request.param)()


def ragged(lengths: list[int], dtype: str, seed: int = 0) -> Ragged:
    generator = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    values = np.frombuffer(generator.bytes(sum(lengths) * kind.itemsize), kind)
    return Ragged(values, np.cumsum([0, *lengths], dtype=np.int64))


def same(one: Ragged, other: Ragged) -> bool:
    """Equal to the bit, not-a-numbers included."""
    return (
        one.values.dtype == other.values.dtype
        and one.values.tobytes() == other.values.tobytes()
        and np.array_equal(one.offsets, other.offsets)
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "lengths",
    [[], [0], [0, 0, 3], [1], [5, 0, 1], [100_000, 1]],
    ids=["none", "empty", "last", "one", "mixed", "long"],
)
def test_round_trip(backend: Backend, tmp_path: Path, dtype: str, lengths: list[int]) -> None:
    path = tmp_path / f"file{backend.suffix}"
    column = ragged(lengths, dtype)
    backend.write(path, {"column": column}, {"key": "value", "another": "中文"})
    columns, metadata = backend.open(path)
    assert metadata == {"key": "value", "another": "中文"}
    assert list(columns) == ["column"]
    assert same(columns["column"], column)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.integers(0, 40), max_size=12),
    dtypes=st.lists(st.sampled_from(DTYPES), min_size=1, max_size=4),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_columns_round_trip(
    backend: Backend,
    tmp_path_factory: pytest.TempPathFactory,
    lengths: list[int],
    dtypes: list[str],
    seed: int,
) -> None:
    path = tmp_path_factory.mktemp("any") / f"file{backend.suffix}"
    columns = {f"column_{at}": ragged(lengths, dtype, seed + at) for at, dtype in enumerate(dtypes)}
    backend.write(path, columns, {})
    opened, _ = backend.open(path)
    assert list(opened) == list(columns)
    assert all(same(opened[name], columns[name]) for name in columns)


def test_a_part_of_a_larger_array_is_written_alone(backend: Backend, tmp_path: Path) -> None:
    whole = np.arange(100, dtype=np.int32)
    column = Ragged(whole[10:20], np.array([0, 4, 10]))
    backend.write(tmp_path / "part", {"column": column}, {})
    assert same(backend.open(tmp_path / "part")[0]["column"], column)


def test_equal_columns_are_equal_bytes(backend: Backend, tmp_path: Path) -> None:
    for name, metadata in (("one", {"a": "1", "b": "2"}), ("two", {"b": "2", "a": "1"})):
        backend.write(tmp_path / name, {"column": ragged([3, 0, 4], "float16")}, metadata)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_columns_are_mapped_not_copied_but_in_archives(backend: Backend, tmp_path: Path) -> None:
    path = tmp_path / "file"
    backend.write(path, {"column": ragged([1000], "int32")}, {})
    column = backend.open(path)[0]["column"]
    if not backend.mapped:
        # A thread that unpacked it may hold the file a moment longer.
        for _ in range(100):
            if not (held := is_mapped(path)):
                break
            time.sleep(0.02)
        assert not held
        return
    assert not column.values.flags.owndata
    assert not column.values.flags.writeable
    assert is_mapped(path)


def is_mapped(path: Path) -> bool:
    return str(path) in Path("/proc/self/maps").read_text()


def test_refuses_to_overwrite(backend: Backend, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("something")
    with pytest.raises(CacheError, match="expected no file"):
        backend.write(path, {"column": ragged([1], "int32")}, {})
    assert path.read_text() == "something"


def test_a_file_cut_short_anywhere_is_refused(backend: Backend, tmp_path: Path) -> None:
    path = tmp_path / "file"
    backend.write(path, {"column": ragged([100, 7], "float32"), "other": ragged([1, 2], "uint8")}, {"a": "b"})
    data = path.read_bytes()
    for size in [*range(0, len(data), 41), len(data) - 1]:
        path.write_bytes(data[:size])
        with pytest.raises(DamagedError, match="write it again"):
            backend.open(path)


def test_a_missing_file_is_named(backend: Backend, tmp_path: Path) -> None:
    with pytest.raises(DamagedError, match=r"absent.*no such file"):
        backend.open(tmp_path / "absent")


@pytest.mark.parametrize("seed", range(5))
def test_a_damaged_file_never_reads_outside(backend: Backend, tmp_path: Path, seed: int) -> None:
    path = tmp_path / "file"
    backend.write(path, {"column": ragged([100, 7], "int32"), "other": ragged([1, 2], "float16")}, {"a": "b"})
    data = path.read_bytes()
    generator = np.random.default_rng(seed)
    for _ in range(200):
        broken = bytearray(data)
        for at in generator.integers(0, len(data), 3):
            broken[at] = generator.integers(0, 256)
        path.write_bytes(broken)
        try:
            columns, _ = backend.open(path)
        except DamagedError:
            continue
        for column in columns.values():
            assert int(column.values.view(np.uint8).astype(int).sum()) >= 0
