from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ModelError
from pipeline.text.characters import WORD_CHARACTERS, Alphabet

ALPHABET = Alphabet(("a", "b", "é", "𝄞"))


def test_ids_come_from_the_text_as_written():
    text = "ab é𝄞 zA"
    ids = ALPHABET.ids(text, np.array([[0, 2], [3, 5], [6, 8]], np.int32))
    assert ids[:, :3].tolist() == [[2, 3, 0], [4, 5, 0], [1, 1, 0]]
    assert ids.shape == (3, WORD_CHARACTERS)
    assert ids.dtype == np.uint16


def test_long_words_are_cut_and_special_tokens_have_none():
    text = "a" * 40
    ids = ALPHABET.ids(text, np.array([[0, 40], [7, 7]], np.int32))
    assert ids.tolist() == [[2] * WORD_CHARACTERS, [0] * WORD_CHARACTERS]


def test_no_tokens():
    assert ALPHABET.ids("", np.zeros((0, 2), np.int32)).shape == (0, WORD_CHARACTERS)


@given(st.text(alphabet="abé𝄞z ", max_size=40), st.data())
def test_ids_are_those_of_each_character(text: str, data: st.DataObject):
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    known = {character: number + 2 for number, character in enumerate(ALPHABET.characters)}
    expected = [known.get(character, 1) for character in text[start:end]][:WORD_CHARACTERS]
    (ids,) = ALPHABET.ids(text, np.array([[start, end]])).tolist()
    assert ids == expected + [0] * (WORD_CHARACTERS - len(expected))


def test_saves_and_opens(tmp_path: Path):
    ALPHABET.save(tmp_path)
    assert Alphabet.open(tmp_path) == ALPHABET
    assert len(ALPHABET) == 6


def test_a_tokenizer_without_characters_has_no_alphabet(tmp_path: Path):
    assert Alphabet.open(tmp_path) is None


@pytest.mark.parametrize("content", ['{"a": 2}', '["ab"]', '["a", "a"]'])
def test_refuses_what_is_no_alphabet(tmp_path: Path, content: str):
    (tmp_path / "characters.json").write_text(content)
    with pytest.raises(ModelError, match="a JSON list of different single characters"):
        Alphabet.open(tmp_path)
