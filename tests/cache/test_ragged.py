import numpy as np
import pytest

from pipeline.cache.ragged import Ragged


def test_rows_come_back() -> None:
    rows = [np.array([1, 2]), np.array([], np.int64), np.array([3])]
    packed = Ragged.from_rows(rows, np.int32)
    assert packed.values.dtype == np.int32
    assert [packed.row(at).tolist() for at in range(len(packed))] == [[1, 2], [], [3]]
    assert packed.lengths.tolist() == [2, 0, 1]


def test_no_rows() -> None:
    assert len(Ragged.from_rows([], np.float32)) == 0


def test_concatenate() -> None:
    one = Ragged.from_rows([np.array([1]), np.array([2, 3])], np.int32)
    none = Ragged.from_rows([], np.int32)
    both = Ragged.concatenate([one, none, one])
    assert [both.row(at).tolist() for at in range(4)] == [[1], [2, 3], [1], [2, 3]]


def test_of_equal() -> None:
    rows = Ragged.of_equal(np.arange(6, dtype=np.uint8).reshape(3, 2))
    assert [rows.row(at).tolist() for at in range(3)] == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize("at", [-1, 2])
def test_no_such_row(at: int) -> None:
    with pytest.raises(IndexError, match="of 2"):
        Ragged.from_rows([np.array([1]), np.array([2])], np.int32).row(at)


@pytest.mark.parametrize(
    ("offsets", "reason"),
    [
        ([], "one more"),
        ([0, 5], "run from"),
        ([1, 3], "run from"),
        ([0, 3, 2, 3], "decrease"),
        ([0, -9, 3], "decrease"),
    ],
)
def test_offsets_that_leave_the_values_are_refused(offsets: list[int], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Ragged(np.zeros(3, np.int32), np.array(offsets, np.int64))


def test_strided_values_are_refused() -> None:
    with pytest.raises(ValueError, match="contiguous"):
        Ragged(np.zeros(6, np.int32)[::2], np.array([0, 3], np.int64))
