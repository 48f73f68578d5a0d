import numpy as np
import pytest

from pipeline.schema import Answer, Passage, Segment
from pipeline.tasks.gold import first_pieces, gold_of, is_known
from pipeline.text.tokenizers import Encoded

TEXT = "New York is big"
# "New", "Yo", "##rk", "is"; the last word was cut off.
OFFSETS = np.array([[0, 3], [4, 6], [6, 8], [9, 11]], np.int32)
CLASSES = ("B-LOC", "I-LOC", "O")


def passage(labels, answers=()):
    return Passage(0, 0, "id", "", TEXT, (Segment(0, 0, len(TEXT)),), answers, (), False, labels)


ROW = Encoded(
    input_ids=np.arange(6, dtype=np.int32),
    token_type_ids=np.zeros(6, np.uint8),
    question=(1, 1),
    passage=(1, 5),
    question_offsets=np.zeros((0, 2), np.int32),
    passage_offsets=OFFSETS,
    character_ids=None,
    lost_passage_tokens=1,
)


@pytest.mark.parametrize(
    ("labels", "given", "expected"),
    [
        ("class", ("I-LOC",), [1]),
        ("class", ("unheard of",), [-1]),
        ("class", None, [-1]),
        ("number", ("2.5",), [2.5]),
        ("number", None, [np.nan]),
        ("classes", ("O", "B-LOC"), [1, 0, 1]),
        ("classes", (), [0, 0, 0]),
        ("classes", None, [np.nan] * 3),
        ("tags", ("B-LOC", "I-LOC", "O", "O"), [0, 1, 2, 2]),
        ("tags", None, [-1] * 4),
    ],
)
def test_labels_as_numbers(labels, given, expected):
    gold = gold_of(labels, passage(given), ROW, CLASSES)
    np.testing.assert_array_equal(gold, expected)
    assert is_known(gold).any() == (given is not None and given != ("unheard of",))


def test_answers_are_spans_of_tokens():
    gold = gold_of("answers", passage(None, (Answer("York is", 4),)), ROW, ())
    np.testing.assert_array_equal(gold, [1, 3])


def test_the_tags_of_a_shortened_text_are_those_of_its_words():
    short = Passage(
        0, 0, "id", "", "New Yo", (Segment(0, 0, 6),), (), (), False, ("B-LOC", "I-LOC", "O", "O")
    )
    np.testing.assert_array_equal(gold_of("tags", short, ROW, CLASSES), [0, 1])


def test_a_word_stands_at_its_first_piece():
    np.testing.assert_array_equal(first_pieces(TEXT, OFFSETS, 1), [1, 2, 4, -1])
    np.testing.assert_array_equal(first_pieces(TEXT, OFFSETS[:0], 1), [-1] * 4)
    # A tokenizer that drops a word's characters leaves it without a piece.
    np.testing.assert_array_equal(first_pieces(TEXT, OFFSETS[[0, 3]], 0), [0, -1, 1, -1])
