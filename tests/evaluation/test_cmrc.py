"""Cases worked by hand from the definitions, and a scan character by character as a second route."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nltk.tokenize import NLTKWordTokenizer

from pipeline.evaluation.cmrc import longest_run, score, segments, without_marks

MARKS = "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』"
TEXT = st.text(
    alphabet=["北", "京", "大", "龥", "a", "b", "3", " ", ".", "，", "-", "…", "‘", "A", "鿿"], max_size=8
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("北京大学", ["北", "京", "大", "学"]),
        ("在 iPhone 4S 上", ["在", "iphone", "4s", "上"]),
        # Marks are skipped before words are cut, so what they joined or parted is one word.
        ("3-5公里", ["35", "公", "里"]),
        ("1914年，4月", ["1914", "年", "4", "月"]),
        ("john·smith", ["johnsmith"]),
        ("don't", ["do", "n't"]),
        # Half-width marks that are not listed stay as words of their own.
        ("(甲)", ["(", "甲", ")"]),
        # One "…" is not the listed "……".
        ("是…", ["是", "…"]),
        ("  ", []),
    ],
)
def test_segments(text, expected):
    assert segments(text) == expected


@pytest.mark.parametrize(
    ("prediction", "golds", "em", "f1"),
    [
        ("《红楼梦》", ["红楼梦"], 1, 1),
        # Run of 2 (北京), 4 predicted, 2 wanted: precision 1/2, recall 1.
        ("北京大学", ["北京"], 0, 2 / 3),
        # Contiguous: 甲乙 and 丁 are shared, but the longest run is 2 of 4 and 2 of 3.
        ("甲乙丙丁", ["甲乙丁"], 0, 4 / 7),
        ("ABC公司", ["abc公司"], 1, 1),
        ("上海", ["北京", "上海市"], 0, 0.8),
        ("", ["北京"], 0, 0),
        # Nothing is left of either: equal, and no run is shared.
        ("，", ["。"], 1, 0),
        # A space counts for exact match, not for segments.
        ("ipad 2", ["ipad2"], 0, 0),
        ("甲 乙", ["甲乙"], 0, 1),
    ],
)
def test_golden(prediction, golds, em, f1):
    assert score(prediction, golds) == pytest.approx((em, f1))


def scanned(text):
    """Segments found by one pass over the characters."""
    words, run, found = NLTKWordTokenizer(), "", []
    for character in text.lower().strip():
        if character in MARKS:
            continue
        if 0x4E00 <= ord(character) <= 0x9FA5:
            found += [*words.tokenize(run), character]
            run = ""
        else:
            run += character
    return found + words.tokenize(run)


def runs(values):
    return {tuple(values[a:b]) for a in range(len(values)) for b in range(a + 1, len(values) + 1)}


@given(TEXT)
def test_segments_by_a_scan(text):
    assert segments(text) == scanned(text)


@given(st.lists(st.sampled_from("abc"), max_size=7), st.lists(st.sampled_from("abc"), max_size=7))
def test_longest_run_by_trying_all(one, other):
    assert longest_run(one, other) == max((len(run) for run in runs(one) & runs(other)), default=0)


@given(TEXT, TEXT)
def test_score_by_definition(prediction, gold):
    one, other = scanned(prediction), scanned(gold)
    shared = max((len(run) for run in runs(one) & runs(other)), default=0)
    expected = 0.0
    if shared:
        precision, recall = shared / len(one), shared / len(other)
        expected = 2 * precision * recall / (precision + recall)
    given_score = score(prediction, [gold])
    assert given_score.f1 == pytest.approx(expected)
    assert given_score.em == (without_marks(prediction) == without_marks(gold))
