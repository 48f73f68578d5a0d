"""The probabilities of all spans, against sums over each span by itself."""

import numpy as np
import pytest

from pipeline.evaluation.joint import best_spans, span_probabilities


def batch(start, end, lengths):
    return {
        "start_logits": np.array(start, np.float32),
        "end_logits": np.array(end, np.float32),
        "passage_length": np.array(lengths),
    }


def test_a_span_has_the_probability_of_its_two_ends():
    held = batch([[1.0, 2.0, 0.5], [0.0, 1.0, 9.0]], [[0.0, 0.3, 2.0], [1.0, 0.0, 9.0]], [3, 2])
    found = span_probabilities(held, 2)
    assert found.shape == (2, 3, 2)
    for row, length in enumerate((3, 2)):
        start, end = (
            np.exp(held[name][row, :length]) / np.exp(held[name][row, :length]).sum()
            for name in ("start_logits", "end_logits")
        )
        for first in range(3):
            for more in range(2):
                last = first + more
                wanted = start[first] * end[last] if last < length else 0.0
                assert found[row, first, more] == pytest.approx(wanted)


def test_rows_without_a_passage_have_no_span():
    found = span_probabilities(batch(np.zeros((2, 0)), np.zeros((2, 0)), [0, 0]), 5)
    assert found.shape[:2] == (2, 0)
    assert best_spans([found[:1], found[1:]], [np.zeros((0, 2), np.int64)] * 2) == [None, None]
