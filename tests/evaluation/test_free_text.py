"""Bleu and Rouge-L against counts taken by hand, and against both scores written out from their papers."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.free_text import free_text_scores

WORDS = st.lists(st.sampled_from(["cat", "dog", "sat", "mat", "on"]), max_size=7)
ROWS = st.lists(
    st.tuples(WORDS, st.lists(WORDS.filter(bool), min_size=1, max_size=3)), min_size=1, max_size=4
)


def rows(*pairs):
    return [{"prediction": prediction, "golds": list(golds)} for prediction, *golds in pairs]


def test_by_hand():
    # Words in common: 3 of 4 and 1 of 1. Lengths 4 and 1 against 4 (as near as 4) and 2, so 5 against 6.
    found = rows(("the cat sat down.", "A cat sat down", "the cat sat on the mat"), ("Paris", "in Paris"))
    scores = free_text_scores(found, "en")
    brevity = math.exp(1 - 6 / 5)
    # "the" is in the second gold answer, so all of the first prediction's words count.
    assert scores["bleu_1"] == pytest.approx(100 * brevity * 5 / 5)
    # Pairs 3 of 3 (the cat, cat sat, sat down), triples 2 of 2, and of four words none.
    assert scores["bleu_4"] == 0
    # Row 1: best precision 3/4 (either gold), best recall 3/4 (the first). Row 2: precision 1, recall 1/2.
    second = 2.44 * 0.5 / (0.5 + 1.44)
    assert scores["rouge_l"] == pytest.approx(100 * (0.75 + second) / 2)


def test_bleu_4_by_hand():
    found = rows(("a b c d e", "a b c d f"))
    # Precisions 4/5, 3/4, 2/3, 1/2; lengths are equal.
    assert free_text_scores(found, "en")["bleu_4"] == pytest.approx(
        100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25
    )


def test_best_precision_and_best_recall_may_come_from_two_gold_answers():
    found = rows(("the old man", "man", "the old man and his great sea"))
    # Precision 1 by the second, recall 1 by the first: the best F of one answer alone would be lower.
    assert free_text_scores(found, "en")["rouge_l"] == pytest.approx(100)


def test_chinese_counts_characters():
    scores = free_text_scores(rows(("北京大学", "北京的大学")), "zh")
    assert scores["bleu_1"] == pytest.approx(100 * math.exp(1 - 5 / 4))
    assert scores["rouge_l"] == pytest.approx(100 * 2.44 * 0.8 / (0.8 + 1.44))


def test_an_absent_answer_counts_and_an_unlabelled_row_does_not():
    found = [*rows(("Rome", "Rome"), (None, "Paris")), {"prediction": "Oslo", "golds": []}]
    scores = free_text_scores(found, "en")
    assert scores["rouge_l"] == pytest.approx(50)
    assert scores["bleu_1"] == pytest.approx(100 * math.exp(1 - 2 / 1))
    assert free_text_scores(found[2:], "en") == {}


def bleu(found, order):
    """Papineni et al. 2002, sec. 2.3, over all rows."""
    shared, counted, length, nearest = [0] * order, [0] * order, 0, 0
    for prediction, golds in found:
        length += len(prediction)
        nearest += sorted((abs(len(gold) - len(prediction)), len(gold)) for gold in golds)[0][1]
        for n in range(1, order + 1):
            mine, *theirs = (
                Counter(tuple(text[at : at + n]) for at in range(len(text) - n + 1))
                for text in (prediction, *golds)
            )
            counted[n - 1] += mine.total()
            shared[n - 1] += sum(
                min(count, max(gold[gram] for gold in theirs)) for gram, count in mine.items()
            )
    if not all(shared):
        return 0.0
    brevity = 1.0 if length > nearest else math.exp(1 - nearest / length)
    return brevity * math.prod(s / c for s, c in zip(shared, counted, strict=True)) ** (1 / order)


def longest(one, other):
    if not one or not other:
        return 0
    if one[0] == other[0]:
        return 1 + longest(one[1:], other[1:])
    return max(longest(one[1:], other), longest(one, other[1:]))


def rouge_l(prediction, golds):
    """Lin 2004, sec. 3.1, with beta 1.2."""
    common = [longest(prediction, gold) for gold in golds]
    if not any(common):
        return 0.0
    precision = max(common) / len(prediction)
    recall = max(count / len(gold) for count, gold in zip(common, golds, strict=True))
    return 2.44 * precision * recall / (recall + 1.44 * precision)


@given(ROWS)
def test_both_written_out(found):
    texts = rows(*((" ".join(said), *map(" ".join, golds)) for said, golds in found))
    scores = free_text_scores(texts, "en")
    assert scores["bleu_1"] == pytest.approx(100 * bleu(found, 1))
    assert scores["bleu_4"] == pytest.approx(100 * bleu(found, 4))
    assert scores["rouge_l"] == pytest.approx(100 * sum(rouge_l(*row) for row in found) / len(found))
