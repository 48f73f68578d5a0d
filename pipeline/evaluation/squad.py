"""Exact match and F1 as the official script of SQuAD 1.1 computes them.

Source: Rajpurkar et al. 2016, arXiv:1606.05250, sec. 6.1, and its evaluate-v1.1.py: lower case, no ASCII
punctuation, no articles, white space folded; the best of the gold answers counts.
"""

import re
import string
from collections import Counter
from collections.abc import Sequence

from pipeline.evaluation.metric import Score

_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def score(prediction: str, golds: Sequence[str]) -> Score:
    """How well `prediction` answers, against the gold answer that suits it best."""
    return Score(
        em=max(float(normalise(prediction) == normalise(gold)) for gold in golds),
        f1=max(overlap_f1(prediction, gold) for gold in golds),
    )


def normalise(text: str) -> str:
    """`text` as it is compared."""
    # The order matters: "a-n" turns into the article "an" and goes.
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_WITHOUT_PUNCTUATION)).split())


def overlap_f1(prediction: str, gold: str) -> float:
    """F1 of the words that both have, each as often as it stands in both; 0 where they share none."""
    predicted, wanted = normalise(prediction).split(), normalise(gold).split()
    shared = (Counter(predicted) & Counter(wanted)).total()
    return 2 * shared / (len(predicted) + len(wanted)) if shared else 0.0
