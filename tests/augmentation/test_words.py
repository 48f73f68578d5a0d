import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.augmentation.words import Word, join_words, read_words
from pipeline.schema import Answer

SPLIT = [
    ("en", "I do n't love it , yet it 's well-known .", "I do n't love it , yet it 's well-known ."),
    ("en", "She doesn't; it's O'Hara's U.S. visa.", "She does n't ; it 's O'Hara 's U.S . visa ."),
    ("en", 'A "3.5%" rise -- so... 50/50!!', 'A " 3.5 % " rise -- so ... 50 / 50 !!'),
    ("zh", "今年 下雨。长江流过武汉。", "今年 下雨 。 长江 流过 武汉 。"),
]


@pytest.mark.parametrize(("language", "text", "words"), SPLIT)
def test_words_of_a_language(language: str, text: str, words: str) -> None:
    assert [word.text for word in read_words(text, language)] == words.split(" ")


@pytest.mark.parametrize("language", ["en", "zh"])
@given(text=st.text(max_size=60))
def test_words_and_gaps_make_the_text(language: str, text: str) -> None:
    words = read_words(text, language)
    assert join_words(words, words).text == text.strip()
    assert all(word.text.strip() for word in words)
    assert not any(word.gap.strip() for word in words)


def test_an_answer_and_what_it_touches_is_one_word() -> None:
    text = "In 1990s towns, big Ada's ox sat."
    answers = (Answer("1990", 3), Answer("Ada's ox", 20), Answer("ox sat", 26), Answer("1990", 3))
    words = read_words(text, "en", answers=answers)
    assert [word.text for word in words] == ["In", "1990s", "towns", ",", "big", "Ada's ox sat", "."]
    assert [word.is_fixed for word in words] == [False, True, False, False, False, True, False]
    assert words[1].answers == ((0, 0, "1990"), (3, 0, "1990"))
    moved = join_words([words[5], words[0], words[1]], words)
    assert moved.text == "Ada's ox sat In 1990s"
    assert moved.answers == tuple(Answer(each.text, moved.text.index(each.text)) for each in answers)


def test_an_entity_is_one_word_that_begins_with_b() -> None:
    text = "Ada Low saw  Oslo in Rome"
    words = read_words(text, "en", tags=["I-per", "I-per", "O", "I-loc", "I-org", "B-org"], is_tagged=True)
    assert [(word.text, word.tags) for word in words] == [
        ("Ada Low", ("B-per", "I-per")),
        ("saw", ("O",)),
        ("Oslo", ("B-loc",)),
        ("in", ("B-org",)),
        ("Rome", ("B-org",)),
    ]
    assert [word.is_fixed for word in words] == [True, False, True, True, True]
    assert join_words(words, words).text == text
    assert join_words(words[::-1], words).tags == ("B-org", "B-org", "B-loc", "O", "B-per", "I-per")


def test_spaces_alone_part_the_words_of_tagging() -> None:
    words = read_words("it's 3.5% ,", "en", is_tagged=True)
    assert words == [Word("it's"), Word("3.5%", " "), Word(",", " ")]


JOINED = [
    ("en", "The (new) fox doesn't run.", [0, 2, 4], "The new fox"),
    ("en", "The (new) fox doesn't run.", [4, 2, 5, 6, 7], "fox new doesn't run"),
    ("en", "He didn't, she doesn't.", [0, 1, 2], "He didn't"),
    ("en", "It rained, then (at last) it stopped.", [0, 3, 2, 1], "It then, rained"),
    ("zh", "他在2008年用iPhone6。", [2, 4, 0, 1], "2008 iPhone6他在"),
]


@pytest.mark.parametrize(("language", "text", "order", "joined"), JOINED)
def test_words_do_not_run_into_each_other(language: str, text: str, order: list[int], joined: str) -> None:
    words = read_words(text, language)
    assert join_words([words[place] for place in order], words).text == joined
