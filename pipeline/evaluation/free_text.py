"""Bleu and Rouge-L of answers against gold answers that people wrote in words of their own.

They are those of the COCO caption scores (Chen et al. 2015, arXiv:1504.00325, sec. 3), by which readers of
NarrativeQA (Kočiský et al. 2018, arXiv:1712.07040) and MS MARCO are usually scored.

- Bleu (Papineni et al. 2002) is counted over the whole data set, by sacrebleu: the brevity penalty takes of
  each row the gold answer nearest in length, the shorter of two. Nothing is smoothed: what the scripts add to
  counts only keeps them from dividing by 0. (nltk counts an n-gram for every row too short to have one.)
- Rouge-L (Lin 2004) is a mean over rows. rouge-score gives precision and recall against each gold answer; the
  best of either is taken by itself, and recall counts more (beta 1.2). The library's own F has beta 1, and
  the best of the F's would be taken.
- Words are those of `pipeline.text.treebank`, in place of a Java program's. In Chinese they are the segments
  of CMRC2018's metric, where each character stands by itself.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import zip_longest
from typing import Any

from pipeline.evaluation import cmrc
from pipeline.text import treebank
from pipeline.text.rouge import rouge_l

_WORDS = {"en": treebank.words, "zh": cmrc.segments}


def free_text_scores(rows: Sequence[Mapping[str, Any]], language: str) -> dict[str, float]:
    """Bleu-1, Bleu-4 and Rouge-L, in percent, of the rows with gold answers; none where there are none.

    Args:
        rows: Each with its `prediction`, None where there is none, and its `golds`.
        language: Says what words are.
    """
    labelled = [row for row in rows if row["golds"]]
    if not labelled:
        return {}
    words = _WORDS[language]
    predictions = [" ".join(words(row["prediction"] or "")) for row in labelled]
    golds = [[" ".join(words(gold)) for gold in row["golds"]] for row in labelled]
    return {
        "bleu_1": _bleu(predictions, golds, 1),
        "bleu_4": _bleu(predictions, golds, 4),
        "rouge_l": 100 * sum(map(_rouge_l, predictions, golds)) / len(labelled),
    }


def _bleu(predictions: Sequence[str], golds: Sequence[Sequence[str]], order: int) -> float:
    from sacrebleu.metrics import BLEU  # few readings are of free text

    # `force` says that words are parted on purpose.
    metric = BLEU(max_ngram_order=order, tokenize="none", smooth_method="none", force=True)
    return float(metric.corpus_score(predictions, list(map(list, zip_longest(*golds)))).score)


class _AtSpaces:
    """Words that are parted already, as rouge-score takes them."""

    def tokenize(self, text: str) -> list[str]:
        return text.split()


@cache
def _scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], tokenizer=_AtSpaces())


def _rouge_l(prediction: str, golds: Sequence[str]) -> float:
    found = [_scorer().score(gold, prediction)["rougeL"] for gold in golds]
    return float(rouge_l(max(one.precision for one in found), max(one.recall for one in found)))
