"""Each method against what its source says of it."""

from collections import Counter
from random import Random

import pytest

from pipeline.augmentation.corpus import Corpus
from pipeline.augmentation.delete import delete
from pipeline.augmentation.long_disorder import long_disorder
from pipeline.augmentation.mask import mask
from pipeline.augmentation.ngram import ngram
from pipeline.augmentation.short_disorder import short_disorder
from pipeline.augmentation.tang2019 import tang2019
from pipeline.augmentation.words import join_words, read_words
from pipeline.errors import ParamsError
from pipeline.schema import Answer
from pipeline.text.mask import MASK

NONE = Corpus([], "en")
# The tagger's word list has them as nouns, an adjective and a determiner.
COUNTED = "dog dog dog cat cat mouse house house house house the the happy"


def letters(count: int) -> list:
    return read_words(" ".join("abcdefghijklmnopqrstuvwxyz"[:count]), "en")


def text(words: list) -> str:
    return join_words(words, words).text.replace(" ", "")


@pytest.fixture(scope="module")
def counted() -> Corpus:
    return Corpus([read_words(COUNTED, "en")], "en")


def test_masks_and_deletions_come_as_often_as_they_should() -> None:
    words = letters(26) * 400
    hidden = [word.text == MASK for word in mask(words, Random(1), NONE, probability=0.3)]
    assert abs(sum(hidden) / len(words) - 0.3) < 0.02
    kept = delete(words, Random(1), NONE, probability=0.3)
    assert abs(len(kept) / len(words) - 0.7) < 0.02
    assert (
        mask(words, Random(1), NONE, probability=0.0)
        == words
        == delete(words, Random(1), NONE, probability=0.0)
    )


def test_ngrams_are_of_1_to_5_words_alike_and_from_anywhere() -> None:
    made = [text(ngram(letters(12), Random(seed), NONE)) for seed in range(4000)]
    assert all(each in "abcdefghijkl" for each in made)
    lengths = Counter(map(len, made))
    assert sorted(lengths) == [1, 2, 3, 4, 5]
    assert max(lengths.values()) - min(lengths.values()) < 200
    assert {each for each in made if len(each) == 5} == {"abcdefghijkl"[at : at + 5] for at in range(8)}
    assert {text(ngram(letters(2), Random(seed), NONE)) for seed in range(40)} == {"a", "b", "ab"}


def test_an_ngram_without_the_answer_is_not_taken() -> None:
    words = read_words("a b c d e f", "en", answers=[Answer("b", 2), Answer("e", 8)])
    made = {join_words(ngram(words, Random(seed), NONE), words).text for seed in range(200)}
    assert made == {"a b c d e f", "b c d e", "a b c d e", "b c d e f"}


@pytest.mark.parametrize(
    ("order", "made"), [("bac", "badcfeg"), ("cba", "cbafedg"), ("cab", "cabfdeg"), ("bca", "bcaefdg")]
)
def test_short_disorder_reorders_within_three(order: str, made: str) -> None:
    options = {"bac": 0.0, order: 1.0}
    assert text(short_disorder(letters(7), Random(0), NONE, **options)) == made
    # Of the last two words there is one other order.
    assert text(short_disorder(letters(2), Random(0), NONE, **options)) == "ba"


def test_short_disorder_is_as_frequent_as_asked() -> None:
    words = letters(26) * 400
    made = short_disorder(words, Random(1), NONE, bac=0.1)
    # Of the pairs that could begin at a word, each exchange takes one away.
    exchanged = sum(new.text != old.text for new, old in zip(made, words, strict=True)) / 2
    assert abs(exchanged / len(words) - 0.1 / 1.1) < 0.01


@pytest.mark.parametrize(
    ("length", "made"),
    [(4, "cdabghefi"), (3, "cdabghefi"), (0.7, "defabcghi"), (20, "abcdefghi"), (1, "abcdefghi")],
)
def test_long_disorder_exchanges_halves(length: float, made: str) -> None:
    assert text(long_disorder(letters(9), Random(0), NONE, probability=1.0, length=length)) == made


def test_gaps_stay_where_they_are() -> None:
    words = read_words("a, b  c", "en")
    assert join_words(short_disorder(words, Random(0), NONE, bac=1.0), words).text == ",a c  b"


def test_replacements_are_of_the_same_part_and_as_frequent_as_in_the_corpus(counted: Corpus) -> None:
    words = read_words("dog the happy", "en")
    random = Random(1)
    drawn = Counter(counted.like(words, 0, random) for _ in range(4000))
    assert {word: round(count / 400) for word, count in drawn.items()} == {
        "dog": 3,
        "cat": 2,
        "mouse": 1,
        "house": 4,
    }
    assert {counted.like(words, 1, random) for _ in range(20)} == {"the"}
    assert {counted.like(words, 2, random) for _ in range(20)} == {"happy"}
    assert counted.like(read_words("quickly", "en"), 0, random) == "quickly"


def test_chinese_words_are_replaced_by_their_kind() -> None:
    corpus = Corpus([read_words("北京很大。上海很小。", "zh")], "zh")
    words = read_words("武汉在中国。", "zh")
    assert {corpus.like(words, 0, Random(seed)) for seed in range(20)} == {"北京", "上海"}


def test_what_labels_are_about_replaces_nothing() -> None:
    words = read_words("Oslo lies by Quito", "en", tags=["B-x", "O", "O", "O"], is_tagged=True)
    assert {Corpus([words], "en").like(words, 0, Random(seed)) for seed in range(20)} == {"Quito"}


def test_one_draw_hides_a_word_or_replaces_it(counted: Corpus) -> None:
    words = read_words("elephant " * 9000, "en")
    made = tang2019(words, Random(1), counted, mask=0.2, replacement=0.3, ngram=0.0)
    counts = Counter(word.text for word in made)
    assert abs(counts[MASK] / 9000 - 0.2) < 0.015
    assert abs(counts["elephant"] / 9000 - 0.5) < 0.015
    assert counts.total() == 9000


def test_an_ngram_is_taken_of_the_changed_words(counted: Corpus) -> None:
    made = [tang2019(letters(20), Random(seed), counted, mask=1.0, replacement=0.0) for seed in range(800)]
    assert {word.text for words in made for word in words} == {MASK}
    assert abs(sum(len(words) <= 5 for words in made) / 800 - 0.25) < 0.05


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        (mask, {"probability": 1.5}, "probability: expected from 0 to 1; got 1.5"),
        (delete, {"probability": -0.1}, "probability: expected from 0 to 1; got -0.1"),
        (ngram, {"longest": 0}, "longest: expected 1 or more; got 0"),
        (short_disorder, {"bac": 0.6, "cab": 0.6}, "from 0 to 1, together too; got 0.6, 0.0, 0.6, 0.0"),
        (long_disorder, {"length": 0}, "length: expected a number above 0; got 0"),
        (long_disorder, {"probability": float("nan")}, "probability: expected from 0 to 1; got nan"),
        (
            tang2019,
            {"mask": 0.7, "replacement": 0.7},
            "mask, replacement: expected from 0 to 1, together too",
        ),
        (tang2019, {"ngram": 2.0}, "ngram: expected from 0 to 1; got 2.0"),
    ],
)
def test_options_that_cannot_be_obeyed(method, options: dict[str, float], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        method([], Random(0), NONE, **options)
