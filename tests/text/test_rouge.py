import numpy as np
import pytest

from pipeline.text.rouge import rouge_l


@pytest.mark.parametrize(
    ("precision", "recall", "score"),
    # With beta squared 1.44: 2.44 p r / (r + 1.44 p).
    [(1.0, 1.0, 1.0), (0.5, 1.0, 1.22 / 1.72), (1.0, 0.5, 1.22 / 1.94), (0.0, 0.0, 0.0)],
)
def test_numbers_and_arrays(precision, recall, score):
    assert rouge_l(precision, recall) == pytest.approx(score)
    assert rouge_l(np.array([precision, 0.0]), np.array([recall, 0.0])) == pytest.approx([score, 0.0])
