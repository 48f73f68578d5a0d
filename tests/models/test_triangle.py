import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cache.triangle import unpack_triangle
from pipeline.models.triangle import pack_triangle


@given(size=st.integers(0, 9), batch=st.integers(0, 3), seed=st.integers(0, 99))
def test_what_is_packed_is_what_the_cache_unpacks(size: int, batch: int, seed: int) -> None:
    half = np.random.default_rng(seed).normal(size=(batch, size, size)).astype(np.float32)
    matrices = half + half.transpose(0, 2, 1)
    packed = pack_triangle(torch.from_numpy(matrices))
    assert packed.shape == (batch, size * (size + 1) // 2)
    assert np.array_equal(unpack_triangle(packed.numpy()), matrices)


def test_the_order_is_that_of_rows() -> None:
    matrix = torch.tensor([[0, 1, 3], [1, 2, 4], [3, 4, 5]])
    assert pack_triangle(matrix).tolist() == [0, 1, 2, 3, 4, 5]
