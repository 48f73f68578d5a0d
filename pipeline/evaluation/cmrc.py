"""Exact match and F1 as the official script of CMRC 2018 computes them.

Source: Cui et al. 2019, arXiv:1810.07366, sec. 4.1, and its cmrc2018_evaluate.py, version 5. F1 is over
segments, a Chinese character or a word of another script, and counts the longest *contiguous* run of
segments that both answers share. The marks below are skipped before segments are cut, so "3-5" is the
one word "35".

Differs: the official script passes each run of other script through nltk's sentence splitter first, which
needs a model that must be downloaded; here a run is one sentence. Only a full stop, question or exclamation
mark in the middle of a run and followed by a space can be cut otherwise: 20 of the 15,671 answers of the
train, trial and (partial) dev sets hold one, most of them initials that the splitter leaves alone too.
"""

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from functools import cache
from typing import Any

from pipeline.evaluation.metric import Score

# The script lists "……" too, but compares single characters with the list: a lone "…" is never skipped.
_SKIPPED = frozenset("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
_CHINESE = re.compile("([\u4e00-\u9fa5])")


def score(prediction: str, golds: Sequence[str]) -> Score:
    """How well `prediction` answers, against the gold answer that suits it best."""
    predicted = segments(prediction)
    return Score(
        em=max(float(without_marks(prediction) == without_marks(gold)) for gold in golds),
        f1=max(_run_f1(predicted, segments(gold)) for gold in golds),
    )


def without_marks(text: str) -> str:
    """`text` in lower case, trimmed, then without the marks that never count."""
    return "".join(character for character in text.lower().strip() if character not in _SKIPPED)


def segments(text: str) -> list[str]:
    """`text` as segments: each Chinese character, and the words of what stands between them."""
    return list(_segments(text))


def _segments(text: str) -> Iterator[str]:
    for part in _CHINESE.split(without_marks(text)):
        if _CHINESE.fullmatch(part):
            yield part
        elif part:
            yield from _words().tokenize(part)


@cache
def _words() -> Any:
    from nltk.tokenize import NLTKWordTokenizer  # takes a while, and only Chinese needs it

    return NLTKWordTokenizer()


def _run_f1(predicted: Sequence[str], wanted: Sequence[str]) -> float:
    run = longest_run(predicted, wanted)
    return 2 * run / (len(predicted) + len(wanted)) if run else 0.0


def longest_run(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest contiguous run that both have."""
    return SequenceMatcher(None, one, other, autojunk=False).find_longest_match().size
