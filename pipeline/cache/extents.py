"""The extents of a row's axes, on which all its columns must agree."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Int64

from pipeline.cache.columns import FIXED_EXTENTS, Column
from pipeline.errors import CacheError


class Extents:
    """What the columns seen so far say of each row's axes.

    Args:
        name_of: What to call the row at a place in a message.
    """

    def __init__(self, name_of: Callable[[int], str]) -> None:
        self._name_of = name_of
        self._known: dict[str, np.ndarray] = {}

    def check(self, column: Column, lengths: Int64[np.ndarray, " rows"]) -> None:
        """Compare the number of values of each row with what other columns say of its axes.

        Raises:
            CacheError: They do not fit.
        """
        last = column.axes[1] if len(column.axes) == 2 else None
        if last is None or last in FIXED_EXTENTS:
            inner = np.full_like(lengths, FIXED_EXTENTS[last] if last else 1)
        elif last in self._known:
            inner = self._known[last]
        else:
            return
        outer = lengths // np.maximum(inner, 1)
        expected = self._known.setdefault(column.axes[0], outer)
        # A row without lines, or with empty ones, has no values whatever its other extent.
        fits = np.where(inner == 0, lengths == 0, lengths == expected * inner)
        if not fits.all():
            at = int(np.argmin(fits))
            raise CacheError(
                self._name_of(at),
                expected=f"{expected[at] * inner[at]} values of {column.name} ({' x '.join(column.axes)})",
                got=str(lengths[at]),
                remedy="mend what reads the teacher: columns of one row disagree about its length",
            )

    def of(self, axis: str) -> Int64[np.ndarray, " rows"] | None:
        """The extent of an axis in every row, once a column that begins with it was checked."""
        return self._known.get(axis)
