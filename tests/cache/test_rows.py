import hashlib
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cache.rows import RowIndex, RowTable


@given(names=st.lists(st.sampled_from([f"row {at}" for at in range(9)]), min_size=1, max_size=40))
def test_ordinals_by_a_dictionary(filling: ModuleType, names: list[str]) -> None:
    rows = filling.make_rows(names)
    seen = list(dict.fromkeys(names))
    assert rows.first.tolist() == [names.index(name) for name in seen]
    assert rows.ordinal.tolist() == [seen.index(name) for name in names]
    assert rows.occurrence.tolist() == [names[:at].count(name) for at, name in enumerate(names)]
    hashes = np.stack([rows.input_hash[0], np.zeros(16, np.uint8)])
    assert rows.ordinals_of(hashes).tolist() == [0, -1]


def test_hashes_that_end_in_zeros_differ() -> None:
    # numpy's byte strings drop trailing zeros; equal widths must make them count.
    hashes = [b"a" + bytes(15), b"a" + bytes(14) + b"\1", bytes(16), b"\0a" + bytes(14)]
    rows = RowTable.build(
        input_hashes=hashes,
        gold_hashes=hashes,
        lengths=[3] * 4,
        question_lengths=[1] * 4,
        splits=["train"] * 4,
    )
    assert rows.first.tolist() == [0, 1, 2, 3]
    assert rows.ordinals_of(rows.input_hash[::-1].copy()).tolist() == [3, 2, 1, 0]
    index = RowIndex(rows.input_hash, rows.occurrence)
    assert index.positions(rows.input_hash, rows.occurrence).tolist() == [0, 1, 2, 3]


def test_hashes_with_equal_heads_are_told_apart() -> None:
    hashes = [b"same hed" + at.to_bytes(8, "big") for at in range(20)]
    matrix = np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 16)
    occurrence = np.zeros(20, np.int32)
    order = np.random.default_rng(0).permutation(20)
    index = RowIndex(matrix[order], occurrence)
    assert index.positions(matrix, occurrence)[order].tolist() == list(range(20))
    unknown = np.frombuffer(b"same hed" + bytes(7) + b"\xff", np.uint8).reshape(1, 16)
    assert index.positions(unknown, occurrence[:1]).tolist() == [-1]


def test_no_rows_hold_nothing(filling: ModuleType) -> None:
    rows = filling.make_rows([], [])
    wanted = filling.make_rows(["a"])
    assert rows.ordinals_of(wanted.input_hash).tolist() == [-1]
    assert RowIndex(rows.input_hash, rows.occurrence).positions(
        wanted.input_hash, wanted.occurrence
    ).tolist() == [-1]


def test_duplicates_have_positions_of_their_own(filling: ModuleType) -> None:
    rows = filling.make_rows(["a", "b", "a", "a"])
    index = RowIndex(rows.input_hash, rows.occurrence)
    order = np.array([3, 0, 1, 2])
    assert index.positions(rows.input_hash[order], rows.occurrence[order]).tolist() == order.tolist()
    assert index.positions(rows.input_hash[:1], np.array([3], np.int32)).tolist() == [-1]


def test_splits_are_counted(filling: ModuleType) -> None:
    rows = filling.make_rows(["a", "b", "c"], ["train", "dev", "train"])
    assert rows.splits == ("dev", "train")
    assert rows.counts() == {"train": 2, "dev": 1}


def test_order_is_of_ids_alone(filling: ModuleType) -> None:
    rows = filling.make_rows(["a", "b"])
    assert rows.order == filling.make_rows(["a", "b"], ["dev", "dev"]).order
    assert rows.order != filling.make_rows(["b", "a"]).order
    assert rows.order != filling.make_rows(["a", "b", "b"]).order


def test_stored_and_back(filling: ModuleType) -> None:
    rows = filling.make_rows(["a", "b", "a"], ["train", "dev", "dev"])
    back = RowTable.from_columns(rows.columns(), rows.splits)
    assert back.order == rows.order
    assert back.counts() == rows.counts()
    assert np.array_equal(back.length, rows.length)


def test_stored_columns_are_not_believed(filling: ModuleType) -> None:
    rows = filling.make_rows(["a", "b", "a"])
    columns = rows.columns()
    with pytest.raises(ValueError, match="no column input_hash"):
        RowTable.from_columns({"occurrence": columns["occurrence"], "split": columns["split"]}, ["train"])
    other = filling.make_rows(["a"]).columns()
    with pytest.raises(ValueError, match="16 values of gold_hash, not 48"):
        RowTable.from_columns(columns | {"gold_hash": other["gold_hash"]}, ["train"])
    with pytest.raises(ValueError, match="a split beyond"):
        RowTable.from_columns(columns, [])


def test_a_hundred_thousand_rows_are_found_again() -> None:
    hashes = [hashlib.md5(at.to_bytes(4, "little")).digest() for at in range(100_000)]
    matrix = np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 16)
    occurrence = np.zeros(len(hashes), np.int32)
    index = RowIndex(matrix, occurrence)
    order = np.random.default_rng(0).permutation(len(hashes))
    assert np.array_equal(index.positions(matrix[order], occurrence[order]), order)
