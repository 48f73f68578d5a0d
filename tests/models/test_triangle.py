import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cache import triangle as numpy_triangle
from pipeline.models.triangle import pack_triangle, unpack_triangle


@given(size=st.integers(0, 9), batch=st.integers(0, 3), seed=st.integers(0, 99))
def test_the_same_as_in_numpy_and_its_own_inverse(size: int, batch: int, seed: int) -> None:
    half = np.random.default_rng(seed).normal(size=(batch, size, size)).astype(np.float32)
    matrices = half + half.transpose(0, 2, 1)
    packed = pack_triangle(torch.from_numpy(matrices))
    assert np.array_equal(packed.numpy(), numpy_triangle.pack_triangle(matrices))
    assert np.array_equal(unpack_triangle(packed).numpy(), matrices)


def test_gradient_passes_through() -> None:
    values = torch.arange(6.0, requires_grad=True)
    unpack_triangle(values).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [1, 2, 1, 2, 2, 1]


def test_no_triangle_of_that_size() -> None:
    with pytest.raises(ValueError, match="no triangle has 4 values"):
        unpack_triangle(torch.zeros(2, 4))
