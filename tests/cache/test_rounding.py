import numpy as np
import pytest
import torch

from pipeline.cache.rounding import largest, to_bfloat16, to_float16


def patterns() -> np.ndarray:
    """Float32 numbers: around every boundary of both formats, and anywhere."""
    halfway = [0x33000000, 0x33800000, 0x387FE000, 0x38800000, 0x3F800000, 0x477FE000, 0x47800000, 0x7F7F7FFF]
    near = np.add.outer(halfway, np.arange(-40_000, 40_000)).ravel()
    anywhere = np.random.default_rng(0).integers(0, 2**32, 2_000_000)
    bits = np.concatenate([[0, 1, 2**31, 0x7F800000, 0xFF800000], near, near + 2**31, anywhere]) % 2**32
    numbers = bits.astype(np.uint32).view(np.float32)
    return numbers[~np.isnan(numbers)]


def test_float16_is_rounded_as_numpy_does() -> None:
    numbers = patterns()
    with np.errstate(over="ignore"):
        expected = numbers.astype(np.float16)
    np.testing.assert_array_equal(to_float16(numbers).view(np.uint16), expected.view(np.uint16))


def test_bfloat16_is_rounded_as_torch_does() -> None:
    numbers = patterns()
    expected = torch.from_numpy(numbers).bfloat16().view(torch.int16).numpy().view(np.uint16)
    np.testing.assert_array_equal(to_bfloat16(numbers), expected)


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [([], 0.0), ([-0.0], 0.0), ([1.0, -3.5, 2.0], 3.5), ([1e-45, 0.0], 1e-45), ([1.0, -np.inf], np.inf)],
)
def test_largest_is_the_greatest_magnitude(numbers: list[float], expected: float) -> None:
    assert largest(np.array(numbers, np.float32)) == np.float32(expected)


def test_what_is_no_number_is_the_largest() -> None:
    assert np.isnan(largest(np.array([1.0, np.nan, np.inf], np.float32)))
