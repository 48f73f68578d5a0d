"""Symmetric matrices as their lower triangles, row by row: (0, 0), (1, 0), (1, 1), (2, 0), ...

The triangle of a matrix begins with that of its upper left part, so triangles of differing sizes are padded,
and cut, like any ragged row.
"""

import math

import numpy as np
from jaxtyping import Shaped

from pipeline.cache.columns import pairs


def unpack_triangle(
    values: Shaped[np.ndarray, "*batch values"],
) -> Shaped[np.ndarray, "*batch size size"]:
    """The symmetric matrices whose lower triangles are `values`; what was padded with zeros, so is here.

    Raises:
        ValueError: No triangle has that many values.
    """
    size = triangle_size(values.shape[-1])
    rows, columns = np.indices((size, size))
    low, high = np.minimum(rows, columns), np.maximum(rows, columns)
    return np.asarray(values[..., pairs(high) + low])


def triangle_size(values: int) -> int:
    """The size of the matrix whose lower triangle has `values` values.

    Raises:
        ValueError: There is none.
    """
    size = (math.isqrt(8 * values + 1) - 1) // 2
    if pairs(size) != values:
        raise ValueError(f"no triangle has {values} values")
    return size
