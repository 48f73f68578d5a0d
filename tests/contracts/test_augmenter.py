"""What every augmenter in the table promises."""

from collections import Counter
from functools import cache
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.augmentation import AUGMENTERS
from pipeline.augmentation.corpus import Corpus
from pipeline.augmentation.words import Word, join_words, read_words
from pipeline.datasets.labels import words as tagged_words
from pipeline.schema import Answer
from pipeline.text.mask import MASK

TEXT = "It rained in spring . Ada has lived in Oslo since then , and the harvest was late . Nobody saw it ."
# As strong as each can be: little would happen to a short text otherwise.
STRONG = {
    "delete": {"probability": 0.9},
    "long_disorder": {"probability": 1.0, "length": 4},
    "mask": {"probability": 1.0},
    "ngram": {},
    "short_disorder": {"bac": 0.25, "cba": 0.25, "cab": 0.25, "bca": 0.25},
    "tang2019": {"mask": 0.5, "replacement": 0.5, "ngram": 0.5},
}
DEFAULTS = {name: {} for name in STRONG}
OPTIONS = [(name, each) for name in AUGMENTERS.names() for each in (DEFAULTS[name], STRONG[name])]


@cache
def corpus() -> Corpus:
    return Corpus([read_words(TEXT, "en")], "en")


def change(name: str, words: list[Word], seed: int, **options: float) -> list[Word]:
    return list(AUGMENTERS.load(name)(words, Random(seed), corpus(), **options))


def spans(draw: st.DrawFn, length: int) -> list[tuple[int, int]]:
    """Some stretches of `length`, in any order, that may overlap."""
    ends = st.tuples(st.integers(0, length - 1), st.integers(1, length))
    return [(start, end) for start, end in draw(st.lists(ends, max_size=3)) if start < end]


@st.composite
def answered(draw: st.DrawFn) -> tuple[str, tuple[Answer, ...]]:
    words = draw(st.lists(st.sampled_from(TEXT.split()), min_size=1, max_size=12))
    text = " ".join(words)
    found = [(start, end) for start, end in spans(draw, len(text)) if text[start:end].strip()]
    return text, tuple(Answer(text[start:end], start) for start, end in found)


@st.composite
def tagged(draw: st.DrawFn) -> tuple[str, list[str]]:
    words = draw(st.lists(st.sampled_from(TEXT.split()), min_size=1, max_size=12))
    tags = draw(
        st.lists(st.sampled_from(["O", "B-x", "I-x", "I-y"]), min_size=len(words), max_size=len(words))
    )
    return " ".join(words), tags


def entities(text: str, tags: tuple[str, ...]) -> Counter[tuple[str, str]]:
    """The entities of a text as conlleval finds them, by text and type."""
    found: list[tuple[str, str]] = []
    before = "O"
    for (start, end), tag in zip(tagged_words(text), tags, strict=True):
        if tag != "O":
            goes_on = tag.startswith("I-") and before[2:] == tag[2:]
            found = (
                [*found[:-1], (f"{found[-1][0]} {text[start:end]}", tag[2:])]
                if goes_on
                else [*found, (text[start:end], tag[2:])]
            )
        before = tag
    return Counter(found)


def test_every_augmenter_is_tried_at_its_strongest() -> None:
    assert sorted(STRONG) == AUGMENTERS.names()


@pytest.mark.parametrize("name", AUGMENTERS.names())
def test_one_seed_gives_one_text_and_others_give_others(name: str) -> None:
    words = read_words(TEXT, "en")
    made = [change(name, words, seed, **STRONG[name]) for seed in range(12)]
    assert made == [change(name, words, seed, **STRONG[name]) for seed in range(12)]
    assert made[0] != words
    assert words == read_words(TEXT, "en")
    # Nothing is left to chance where every word is hidden, or every span exchanged.
    assert len({join_words(each, words).text for each in made}) > 1 or name in ("mask", "long_disorder")


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_no_words_stay_none(name: str, options: dict[str, float]) -> None:
    assert change(name, [], 0, **options) == []


@pytest.mark.parametrize(("name", "options"), OPTIONS)
@settings(max_examples=40)
@given(row=answered(), seed=st.integers(0, 1000))
def test_answers_keep_their_characters(
    name: str, options: dict[str, float], row: tuple[str, tuple[Answer, ...]], seed: int
) -> None:
    text, answers = row
    words = read_words(text, "en", answers=answers)
    made = join_words(change(name, words, seed, **options), words)
    assert [each.text for each in made.answers] == [each.text for each in answers]
    for answer in made.answers:
        assert made.text[answer.start : answer.start + len(answer.text)] == answer.text


@pytest.mark.parametrize(("name", "options"), OPTIONS)
@settings(max_examples=40)
@given(row=tagged(), seed=st.integers(0, 1000))
def test_entities_stay_whole(
    name: str, options: dict[str, float], row: tuple[str, list[str]], seed: int
) -> None:
    text, tags = row
    words = read_words(text, "en", tags=tags, is_tagged=True)
    made = join_words(change(name, words, seed, **options), words)
    assert len(made.tags) == len(tagged_words(made.text))
    assert entities(made.text, made.tags) <= entities(text, tuple(tags))
    # A word outside of entities stays outside, and what replaces it was outside too.
    assert made.tags.count("O") <= tags.count("O")


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_words_come_from_the_text_or_the_corpus(name: str, options: dict[str, float]) -> None:
    known = {*TEXT.split(), "Quito", MASK}
    for seed in range(20):
        words = change(name, read_words(f"Quito , {TEXT}", "en"), seed, **options)
        assert {word.text for word in words} <= known
        assert {word.gap for word in words} <= {"", " "}
