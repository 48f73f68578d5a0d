import pytest

from pipeline.binding.confusing import answer_units, confusing_span

TEXT = "The red fox met the brown bear, not Fox and Sons."


def span(words):
    start = TEXT.index(words)
    return start, start + len(words)


def test_the_first_span_without_any_overlap_is_confusing():
    spans = [span("red fox"), span("Fox and"), span("the brown"), span("not")]
    assert confusing_span(spans, TEXT, ["red fox"], language="en") == 2


def test_every_gold_answer_counts():
    spans = [span("brown bear"), span("not")]
    assert confusing_span(spans, TEXT, ["red fox", "a bear"], language="en") == 1


def test_articles_and_punctuation_are_no_overlap():
    assert confusing_span([span("the brown")], TEXT, ["the fox,"], language="en") == 0
    assert answer_units("The U.S.-based, a-b!", "en") == {"usbased", "ab"}


@pytest.mark.parametrize(("spans", "golds"), [([], ["fox"]), ([span("fox")], ["fox"]), ([span("bear")], [])])
def test_there_may_be_none(spans, golds):
    assert confusing_span(spans, TEXT, golds, language="en") is None


def test_what_has_no_unit_is_not_told_from_the_answer():
    text = "A . not"
    spans = [(0, 1), (2, 3), (4, 7)]
    assert confusing_span(spans, text, ["A"], language="en") == 2
    assert confusing_span(spans[:2], text, ["A"], language="en") is None


def test_chinese_answers_are_compared_by_character():
    text = "范廷颂于1919年生于越南宁平。"
    spans = [(4, 9), (11, 13), (0, 3)]
    assert confusing_span(spans, text, ["1990年", "越北"], language="zh") == 2
    assert answer_units("《 范Ｘ 》，x。", "zh") == {"范", "ｘ", "x"}
