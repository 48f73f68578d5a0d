"""Rouge-L as the scores of free text have it."""

from typing import Any

import numpy as np

BETA = 1.2
"""Recall counts more."""


def rouge_l(precision: Any, recall: Any) -> Any:
    """The F score of precision and recall, numbers or arrays from 0 to 1; 0 where both are.

    Source: Lin 2004, with the beta of the COCO caption scores (Chen et al. 2015, arXiv:1504.00325, sec. 3.3).
    """
    return (1 + BETA**2) * precision * recall / np.maximum(recall + BETA**2 * precision, 1e-9)
