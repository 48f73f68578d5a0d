import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cache.triangle import triangle_size, unpack_triangle


@given(size=st.integers(0, 9), batch=st.integers(0, 3), padding=st.integers(0, 4), seed=st.integers(0, 99))
def test_unpacking_is_the_inverse_and_padding_stays_outside(
    size: int, batch: int, padding: int, seed: int
) -> None:
    half = np.random.default_rng(seed).normal(size=(batch, size, size)).astype(np.float32)
    matrices = half + half.transpose(0, 2, 1)
    packed = matrices[:, *np.tril_indices(size)]
    assert packed.shape == (batch, size * (size + 1) // 2)
    assert np.array_equal(unpack_triangle(packed), matrices)
    larger = size + padding
    padded = np.zeros((batch, larger * (larger + 1) // 2), np.float32)
    padded[:, : packed.shape[1]] = packed
    unpacked = unpack_triangle(padded)
    assert np.array_equal(unpacked[:, :size, :size], matrices)
    assert not unpacked[:, size:].any()
    assert not unpacked[:, :, size:].any()


def test_the_order_is_that_of_rows() -> None:
    assert unpack_triangle(np.arange(6)).tolist() == [[0, 1, 3], [1, 2, 4], [3, 4, 5]]


@pytest.mark.parametrize("values", [2, 4, 5, 11])
def test_no_triangle_of_that_size(values: int) -> None:
    with pytest.raises(ValueError, match=f"no triangle has {values} values"):
        triangle_size(values)
