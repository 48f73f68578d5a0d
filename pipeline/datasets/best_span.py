"""The words of a context that say most nearly what free answers say."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt64

BETA = 1.2
"""Recall counts more, as in the Rouge-L that free answers are scored by."""

_BITS = 64


def best_span(
    words: Sequence[str], answers: Sequence[Sequence[str]], *, max_words: int
) -> tuple[int, int] | None:
    """First and last word of the run with the highest Rouge-L against the answers; None if no word is shared.

    Of several, the shortest, and of these the first. As in scores of free text, the best precision and the
    best recall over the answers are taken, each by itself. Common subsequences are counted bit by bit (Hyyrö
    2004, "Bit-parallel LCS-length computation revisited"), for all places where a run may start at once.

    Args:
        words: Of the context.
        answers: Words of each answer, of which the first 64 count.
        max_words: The longest run.
    """
    answers = [answer[:_BITS] for answer in answers if answer]
    shared = set().union(*answers)
    # Without a shared word at either end, a shorter run would be as complete and more precise.
    starts = np.array([at for at, word in enumerate(words) if word in shared], np.int64)
    if not len(starts):
        return None
    common = np.array([_common(words, answer, starts, max_words) for answer in answers])
    lengths = np.array([len(answer) for answer in answers])
    precision = common.max(0) / np.arange(1, max_words + 1)[:, None]
    recall = (common / lengths[:, None, None]).max(0)
    scores = (1 + BETA**2) * precision * recall / np.maximum(recall + BETA**2 * precision, 1e-9)
    more, start = np.unravel_index(int(scores.argmax()), scores.shape)
    first = int(starts[start])
    return first, first + int(more)


def _common(
    words: Sequence[str], answer: Sequence[str], starts: np.ndarray, max_words: int
) -> UInt64[np.ndarray, "lengths starts"]:
    """The longest common subsequence of `answer` and the runs of 1, 2, ... words from each start."""
    bits: dict[str, int] = {}
    for place, word in enumerate(answer):
        bits[word] = bits.get(word, 0) | 1 << place
    # Past the end there are words that no answer has.
    holds = np.array([bits.get(word, 0) for word in words] + [0] * max_words, np.uint64)
    everywhere = np.uint64((1 << len(answer)) - 1)
    rows = np.full(len(starts), np.iinfo(np.uint64).max, np.uint64)
    found = []
    for more in range(max_words):
        matched = rows & holds[starts + more]
        rows = (rows + matched) | (rows - matched)
        found.append(np.bitwise_count(~rows & everywhere))
    return np.array(found, np.uint64)
