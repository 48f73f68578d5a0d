import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ParamsError
from pipeline.text.sentences import LANGUAGES, sentences


def _split(text: str, language: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text, language)]


@pytest.mark.parametrize(
    "parts",
    [
        ["One. ", "Two! ", "Three? ", "Four"],
        ["It cost $3.5 million. ", "Dr. Smith of the U.S. Army paid. ", "Mr. J. R. Brown did not."],
        ["He lives in the U.S. ", "The end."],
        ['He said "Go away." ', "Then he left. ", '"Yes!" she said. ', "(It was fine.) ", "Next."],
        ["See No. 5 of Vol. 2 there. ", "No. ", "It is here."],
        ["It is so.[12] ", "Then[3] it is not."],
        ["1. First. ", "2. Second."],
        ["A line\n", "without a stop.  \n\n", "And another"],
        ["fruit, e.g. apples, etc. and so on. ", "However, no."],
        ["it works well. great stuff."[:15], "great stuff."],
        ["Wait... ", "What?! ", "Yes."],
    ],
)
def test_english(parts: list[str]):
    assert _split("".join(parts), "en") == parts


@pytest.mark.parametrize(
    "parts",
    [
        ["他去了。", "真的吗？！", "是；", "好……", "完"],
        ["他说：“我不去。”", "然后走了。"],
        ["“真的吗？”，他说。", "（完。）", "三"],
        ["第一行\n", "第二行。 \n", "三"],
        ["增长3.5倍。", "由J. K. 罗琳写成。"],
        ["用英文句点. ", "下一句"],
    ],
)
def test_chinese(parts: list[str]):
    assert _split("".join(parts), "zh") == parts


def test_leading_space_belongs_to_the_first_sentence():
    assert _split("\n  One. Two.", "en") == ["\n  One. ", "Two."]
    assert _split("\n 一。二。", "zh") == ["\n 一。", "二。"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_has_no_sentences_and_space_is_one(language: str):
    assert sentences("", language) == []
    assert sentences(" \n ", language) == [(0, 3)]


@pytest.mark.parametrize("language", LANGUAGES)
@given(text=st.text(alphabet="aB中。！？；.!?…”\"’')] \n\t\r1[]é😀\u3000\u2028，", max_size=60) | st.text())
def test_sentences_partition_the_text(language: str, text: str):
    spans = sentences(text, language)
    assert "".join(text[start:end] for start, end in spans) == text
    assert all(start < end for start, end in spans)
    assert all(before[1] == after[0] for before, after in itertools.pairwise(spans))
    assert not any(text[start].isspace() for start, _ in spans[1:] if text[start - 1] != "\n")


def test_an_unknown_language_is_refused():
    with pytest.raises(ParamsError, match="language: expected one of en, zh; got 'de'"):
        sentences("Ein Satz.", "de")


@pytest.mark.timeout(5)
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("piece", [" ", ".", "\n", '"', "。", "a", "[1]", ". "])
def test_long_runs_take_no_time(language: str, piece: str):
    assert sentences(piece * 20_000, language)[-1][1] == len(piece) * 20_000
