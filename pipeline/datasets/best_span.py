"""The words of a context that say most nearly what free answers say."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int

from pipeline.text.rouge import rouge_l

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
    longest, shared = max(map(len, answers), default=0), set().union(*answers)
    # Without a shared word at either end, a shorter run would be as complete and more precise.
    starts = np.array([at for at, word in enumerate(words) if word in shared], np.int64)
    if not len(starts):
        return None
    best, found = 0.0, None
    runs = zip(*(_common(words, answer, starts, max_words) for answer in answers), strict=True)
    for more, common in enumerate(runs):
        length = more + 1
        if rouge_l(min(1.0, longest / length), 1.0) <= best:
            break  # Nor could a longer run be better.
        recall = np.max(
            [of_one / len(answer) for of_one, answer in zip(common, answers, strict=True)], axis=0
        )
        scores = rouge_l(np.max(common, axis=0) / length, recall)
        at = int(scores.argmax())
        if scores[at] > best:
            best, found = float(scores[at]), (int(starts[at]), int(starts[at]) + more)
    return found


def _common(
    words: Sequence[str], answer: Sequence[str], starts: Int[np.ndarray, " starts"], max_words: int
) -> Iterator[Int[np.ndarray, " starts"]]:
    """The longest common subsequences of `answer` and the runs of 1, 2, ... words, one from each start."""
    bits: dict[str, int] = {}
    for place, word in enumerate(answer):
        bits[word] = bits.get(word, 0) | 1 << place
    # Past the end there are words that no answer has.
    holds = np.array([bits.get(word, 0) for word in words] + [0] * max_words, np.uint64)
    everywhere = np.uint64((1 << len(answer)) - 1)
    rows = np.full(len(starts), np.iinfo(np.uint64).max, np.uint64)
    for more in range(max_words):
        matched = rows & holds[starts + more]
        rows = (rows + matched) | (rows - matched)
        yield np.bitwise_count(~rows & everywhere)
