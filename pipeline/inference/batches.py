"""Batches for inference: rows of like length together, cut by a budget of padded tokens."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int


def token_batches(lengths: Int[np.ndarray, " rows"], budget: int) -> list[Int[np.ndarray, " _"]]:
    """Rows sorted from long to short, cut so that a padded batch holds at most `budget` tokens.

    A row longer than the budget is a batch of its own. The longest come first: what does not fit in memory
    fails at once. A pure function of the lengths, so the same rows always meet in the same batch.
    """
    order = np.argsort(-lengths, kind="stable")
    batches = []
    start = 0
    while start < len(order):
        size = max(1, budget // max(1, int(lengths[order[start]])))
        batches.append(order[start : start + size])
        start += size
    return batches


def padding_waste(lengths: Int[np.ndarray, " rows"], batches: Sequence[Int[np.ndarray, " _"]]) -> float:
    """The share of the tokens a model reads in `batches` that is padding."""
    padded = sum(len(batch) * int(lengths[batch].max()) for batch in batches)
    real = sum(int(lengths[batch].sum()) for batch in batches)
    return 1 - real / padded if padded else 0.0
