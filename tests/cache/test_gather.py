import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.cache.gather import ColumnReader, Gather
from pipeline.cache.ragged import Ragged


def by_hand(rows: list[np.ndarray], widths: list[int]) -> np.ndarray:
    """The padded batch by plain slicing."""
    heights = [len(row) // width if width else 0 for row, width in zip(rows, widths, strict=True)]
    out = np.zeros((len(rows), max(heights, default=0), max(widths, default=0)), rows[0].dtype)
    for at, (row, height, width) in enumerate(zip(rows, heights, widths, strict=True)):
        out[at, :height, :width] = row.reshape(height, width)
    return out


@settings(deadline=None, max_examples=60)
@given(
    shapes=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), min_size=1, max_size=20),
    cuts=st.lists(st.integers(0, 20), max_size=4),
    dtype=st.sampled_from(["uint8", "float16", "int32", "float32"]),
    data=st.data(),
)
def test_matrices_out_of_any_parts(
    shapes: list[tuple[int, int]], cuts: list[int], dtype: str, data: st.DataObject
) -> None:
    generator = np.random.default_rng(len(shapes))
    rows = [generator.integers(1, 100, height * width).astype(dtype) for height, width in shapes]
    bounds = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    parts = [Ragged.from_rows(rows[a:b], dtype) for a, b in itertools.pairwise(bounds)]
    picked = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=8))
    widths = np.array([shapes[at][1] for at in picked])
    batch = ColumnReader(parts).padded(np.array(picked), widths)
    expected = by_hand([rows[at] for at in picked], widths.tolist())
    assert batch.dtype == dtype
    assert np.array_equal(batch, expected)


def test_one_axis() -> None:
    reader = ColumnReader([Ragged.from_rows([np.array([1, 2, 3]), np.array([]), np.array([4])], np.int32)])
    assert reader.padded(np.array([2, 0, 1])).tolist() == [[4, 0, 0], [1, 2, 3], [0, 0, 0]]
    assert reader.lengths(np.array([2, 0, 1])).tolist() == [1, 3, 0]


def test_fixed_width() -> None:
    reader = ColumnReader([Ragged.from_rows([np.array([1, 2, 3, 4]), np.array([5, 6])], np.int32)], width=2)
    assert reader.padded(np.array([1, 0])).tolist() == [[[5, 6], [0, 0]], [[1, 2], [3, 4]]]
    assert reader.lengths(np.array([1, 0])).tolist() == [1, 2]


def test_no_rows_wanted() -> None:
    reader = ColumnReader([Ragged.from_rows([np.array([1])], np.int32)])
    assert reader.padded(np.array([], np.int64)).shape == (0, 0)


@pytest.mark.parametrize("row", [-1, 2, 2**40])
def test_no_such_row(row: int) -> None:
    reader = ColumnReader([Ragged.from_rows([np.array([1]), np.array([2])], np.int32)])
    with pytest.raises(IndexError, match="of 2"):
        reader.padded(np.array([0, row]))


def test_a_row_that_is_no_matrix_is_refused() -> None:
    reader = ColumnReader([Ragged.from_rows([np.array([1, 2, 3])], np.int32)])
    with pytest.raises(ValueError, match="row 0 has a length that lines of 2 do not divide"):
        reader.padded(np.array([0]), np.array([2]))


@pytest.mark.parametrize("width", [-3, 0, 2**62])
def test_widths_out_of_reason_are_refused(width: int) -> None:
    reader = ColumnReader([Ragged.from_rows([np.array([1, 2, 3])], np.int32)])
    with pytest.raises(ValueError, match="row 0"):
        reader.padded(np.array([0]), np.array([width]))


def test_parts_of_two_types_are_refused() -> None:
    parts = [Ragged.from_rows([np.array([1])], kind) for kind in (np.int32, np.float32)]
    with pytest.raises(ValueError, match="one type"):
        ColumnReader(parts)


@settings(deadline=None, max_examples=40)
@given(
    sizes=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=6),
    outer=st.integers(1, 3),
    cut=st.integers(0, 6),
    data=st.data(),
)
def test_three_axes_of_which_the_first_is_fixed(
    sizes: list[tuple[int, int]], outer: int, cut: int, data: st.DataObject
) -> None:
    generator = np.random.default_rng(len(sizes))
    blocks = [generator.integers(1, 100, (outer, *size)).astype(np.int32) for size in sizes]
    rows = [block.ravel() for block in blocks]
    parts = [Ragged.from_rows(rows[:cut], np.int32), Ragged.from_rows(rows[cut:], np.int32)]
    picked = np.array(data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=8)))
    widths = np.array([sizes[at][1] for at in picked])
    (batch,), found = Gather([ColumnReader(parts, outer=outer)], [0])(picked, widths[None])
    heights = found[0, 1]
    # A plane of no width has no lines either, as far as its values say.
    assert heights.tolist() == [sizes[at][0] if sizes[at][1] else 0 for at in picked]
    assert batch.shape == (len(picked), outer, heights.max(), widths.max())
    for got, at in zip(batch, picked, strict=True):
        height, width = sizes[at]
        assert np.array_equal(got[:, :height, :width], blocks[at][:, : got.shape[1]])
        assert np.count_nonzero(got) == blocks[at].size


def test_planes_that_do_not_divide_a_row() -> None:
    reader = ColumnReader([Ragged.from_rows([np.arange(6), np.arange(8)], np.int32)], width=2, outer=3)
    assert reader.padded(np.array([0])).shape == (1, 3, 1, 2)
    with pytest.raises(ValueError, match="row 1 has a length that lines of 6 do not divide"):
        reader.padded(np.array([0, 1]))


@settings(deadline=None, max_examples=40)
@given(
    lengths=st.lists(st.integers(0, 5), min_size=1, max_size=6),
    widths=st.lists(st.integers(1, 4), min_size=6, max_size=6),
    data=st.data(),
)
def test_columns_together_are_the_columns_alone(
    lengths: list[int], widths: list[int], data: st.DataObject
) -> None:
    generator = np.random.default_rng(len(lengths))
    across = np.array(widths[: len(lengths)])
    rows = [
        [generator.integers(1, 100, size).astype(kind) for size in sizes]
        for kind, sizes in (
            (np.uint8, lengths),
            (np.float32, [2 * length for length in lengths]),
            (np.int16, [length * wide for length, wide in zip(lengths, across, strict=True)]),
        )
    ]
    order = generator.permutation(len(lengths))
    readers = [
        ColumnReader([Ragged.from_rows(rows[0], np.uint8)]),
        ColumnReader([Ragged.from_rows(rows[1], np.float32)], width=2, order=order),
        ColumnReader([Ragged.from_rows(rows[2], np.int16)]),
    ]
    picked = np.array(data.draw(st.lists(st.integers(0, len(lengths) - 1), max_size=8)), np.int64)
    together, _ = Gather(readers, [None, None, 0])(picked, across[picked][None])
    alone = [readers[0].padded(picked), readers[1].padded(picked), readers[2].padded(picked, across[picked])]
    for one, other in zip(together, alone, strict=True):
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)
    for got, row in zip(together[1], picked, strict=True):
        expected = rows[1][order[row]].reshape(-1, 2)
        assert np.array_equal(got[: len(expected)], expected)
        assert not got[len(expected) :].any()


def test_an_empty_order_has_no_rows() -> None:
    reader = ColumnReader([Ragged.from_rows([np.array([1])], np.int32)], order=np.empty(0, np.int64))
    assert len(reader) == 0
    with pytest.raises(IndexError, match="row 0 of 0"):
        reader.padded(np.array([0]))
