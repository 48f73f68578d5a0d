"""The extents of a row's axes, on which all its columns must agree."""

from collections.abc import Callable, Mapping
from functools import reduce

import numpy as np
from jaxtyping import Int64

from pipeline.cache.columns import TOKEN, TOKEN_PAIRS, Column, pairs
from pipeline.errors import CacheError


class Extents:
    """What the columns seen so far say of each row's axes.

    Args:
        name_of: What to call the row at a place in a message.
        known: Extents that are known beforehand: those of `token`, from the row table.
    """

    def __init__(
        self, name_of: Callable[[int], str], known: Mapping[str, Int64[np.ndarray, " rows"]] | None = None
    ) -> None:
        self._name_of = name_of
        self._known: dict[str, np.ndarray] = dict(known or {})
        if TOKEN in self._known:
            self._known[TOKEN_PAIRS] = pairs(self._known[TOKEN])

    def check(self, column: Column, lengths: Int64[np.ndarray, " rows"]) -> None:
        """Compare the number of values of each row with what other columns say of its axes.

        Raises:
            CacheError: They do not fit.
        """
        self._known |= {axis: np.full_like(lengths, size) for axis, size in column.extents.items()}
        first, *others = column.axes
        if any(axis not in self._known for axis in others):
            return
        inner = reduce(np.multiply, (self._known[axis] for axis in others), np.ones_like(lengths))
        expected = self._known.setdefault(first, lengths // np.maximum(inner, 1)) * inner
        fits = lengths == expected
        if not fits.all():
            at = int(np.argmin(fits))
            raise CacheError(
                self._name_of(at),
                expected=f"{expected[at]} values of {column.name} ({' x '.join(column.axes)})",
                got=str(lengths[at]),
                remedy="mend what reads the teacher: columns of one row disagree about its length",
            )

    def of(self, axis: str) -> Int64[np.ndarray, " rows"] | None:
        """The extent of an axis in every row, once it is known."""
        return self._known.get(axis)
