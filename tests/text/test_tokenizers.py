import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from pipeline import fingerprint
from pipeline.errors import ModelError, ParamsError
from pipeline.text.tokenizers import Encoder


def _encode(folder: Path, question: str, text: str, max_length: int = 64, max_question_tokens: int = 16):
    (encoded,) = Encoder.open(folder).encode(
        [question], [text], max_length=max_length, max_question_tokens=max_question_tokens
    )
    return encoded


def test_words_are_laid_out_as_question_separator_text(words_folder: Path):
    vocabulary = Encoder.open(words_folder).vocabulary
    encoded = _encode(words_folder, "Who flows?", "The Zambezi, too.")
    words = ["who", "flows", "?", "[SEP]", "the", "[UNK]", ",", "too", "."]
    assert encoded.input_ids.tolist() == [vocabulary[word] for word in words]
    assert encoded.token_type_ids.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 1]
    assert (encoded.question, encoded.passage) == ((0, 3), (4, 9))
    assert encoded.question_offsets.tolist() == [[0, 3], [4, 9], [9, 10]]
    assert encoded.passage_offsets.tolist() == [[0, 3], [4, 11], [11, 12], [13, 16], [16, 17]]


def test_unknown_words_keep_their_characters_and_case(words_folder: Path):
    encoder = Encoder.open(words_folder)
    encoded = _encode(words_folder, "Who?", "Delw Delf elbe")
    alphabet = encoder.alphabet
    assert alphabet is not None
    first, second, _ = encoded.character_ids[encoded.passage[0] :]
    expected = [alphabet.characters.index(character) + 2 for character in "Delw"]
    assert first[:5].tolist() == [*expected, 0]
    assert first.tolist() != second.tolist()
    assert not encoded.character_ids[encoded.question[1]].any()  # the separator
    assert encoded.character_ids.shape == (len(encoded.input_ids), 16)


def test_characters_are_tokens_of_one_character(characters_folder: Path):
    encoded = _encode(characters_folder, "哪里 ？", "1990年\n长A𠀀")
    assert encoded.question_offsets.tolist() == [[0, 1], [1, 2], [3, 4]]
    assert encoded.passage_offsets.tolist() == [[i, i + 1] for i in (0, 1, 2, 3, 4, 6, 7, 8)]
    assert encoded.character_ids is None


def test_bert_layout_is_the_librarys_own(bert_folder: Path):
    question, text = "Who flows?", "The river Elbe flows."
    encoded = _encode(bert_folder, question, text)
    tokenizer = Tokenizer.from_file(str(bert_folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    pair = tokenizer.encode(question, text)
    assert encoded.input_ids.tolist() == pair.ids
    assert encoded.token_type_ids.tolist() == pair.type_ids
    passage = [offset for offset, side in zip(pair.offsets, pair.sequence_ids, strict=True) if side == 1]
    assert [tuple(offset) for offset in encoded.passage_offsets] == passage
    assert [pair.sequence_ids[i] for i in range(*encoded.passage)] == [1] * len(passage)


def test_question_and_passage_are_cut_and_counted(bert_folder: Path):
    encoded = _encode(bert_folder, "who who who who", "the river flows the river.", 9, 2)
    assert encoded.question == (1, 3)
    assert encoded.passage == (4, 8)
    assert len(encoded.input_ids) == 9
    assert encoded.input_ids[-1] == 3  # [SEP]
    assert encoded.lost_passage_tokens == 3
    assert encoded.passage_offsets[-1].tolist() == [14, 15]


def test_texts_are_not_markup(bert_folder: Path):
    encoded = _encode(bert_folder, "who", "[SEP] the [CLS]")
    assert 3 not in encoded.input_ids[slice(*encoded.passage)]
    assert 2 not in encoded.input_ids[slice(*encoded.passage)]


def test_tokens_without_width_are_no_passage(bytes_folder: Path):
    encoded = _encode(bytes_folder, "a", "b   c ")
    assert encoded.passage_offsets.tolist() == [[0, 1], [4, 5]]
    assert encoded.input_ids[:1].tolist() == [0]
    assert encoded.input_ids[-1:].tolist() == [1]
    assert encoded.passage == (4, 6)  # <s> a </s></s> b c </s>


def test_an_empty_passage_is_an_empty_range(bert_folder: Path):
    encoded = _encode(bert_folder, "who", "")
    assert encoded.passage == (3, 3)
    assert encoded.passage_offsets.shape == (0, 2)


def test_a_limit_without_room_for_a_passage_is_refused(bert_folder: Path):
    with pytest.raises(
        ParamsError, match=r"more than max_question_tokens \(16\) and 3 special tokens; got 19"
    ):
        _encode(bert_folder, "who", "the", max_length=19)


def test_equal_texts_encode_equally_wherever_they_stand(bert_folder: Path):
    encoder = Encoder.open(bert_folder)
    texts = ["the river", "flows", "the river"] * 400
    rows = encoder.encode(["who"] * 1200, texts, max_length=32, max_question_tokens=8)
    assert [len(row.input_ids) for row in rows[:3]] == [6, 6, 6]
    np.testing.assert_array_equal(rows[0].input_ids, rows[-1].input_ids)
    assert encoder.count_tokens(texts)[-3:] == [2, 2, 2]


def test_truncation_and_padding_of_the_file_do_not_count(bert_folder: Path):
    assert Encoder.open(bert_folder).count_tokens(["the " * 50, ""]) == [50, 0]


@settings(max_examples=60)
@given(st.text(max_size=30), st.text(max_size=60))
def test_offsets_stay_in_order_and_inside(bert_folder: Path, question: str, text: str):
    encoded = _encode(bert_folder, question, text, 24, 8)
    for offsets, source in ((encoded.question_offsets, question), (encoded.passage_offsets, text)):
        assert (offsets[:, 0] < offsets[:, 1]).all()
        assert (offsets[1:, 0] >= offsets[:-1, 0]).all()
        assert offsets.max(initial=0) <= len(source)
    assert len(encoded.input_ids) == len(encoded.token_type_ids) <= 24
    assert encoded.passage[1] - encoded.passage[0] == len(encoded.passage_offsets)


def test_fingerprint_is_the_folders(words_folder: Path):
    assert Encoder.open(words_folder).fingerprint == fingerprint.tokenizer(words_folder)


def test_a_folder_without_a_fast_tokenizer(tmp_path: Path):
    with pytest.raises(ModelError, match="a fast tokenizer"):
        Encoder.open(tmp_path)


def test_a_damaged_tokenizer(tmp_path: Path):
    (tmp_path / "tokenizer.json").write_text('{"version": "1.0"}')
    with pytest.raises(ModelError, match=r"tokenizer\.json: expected a fast tokenizer"):
        Encoder.open(tmp_path)


def test_a_layout_without_pairs_is_refused(tmp_path: Path, words_folder: Path):
    shutil.copy(words_folder / "tokenizer.json", tmp_path)
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    content["post_processor"]["pair"].reverse()
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match="puts a question before a text"):
        Encoder.open(tmp_path)


@pytest.fixture(params=["own", "unknown"])
def masking(request: pytest.FixtureRequest, bert_folder: Path, tmp_path: Path) -> tuple[Path, int]:
    """A tokenizer with a mask token, and one without, each with the id of a hidden word."""
    if request.param == "unknown":
        return bert_folder, 1
    tokenizer = Tokenizer.from_file(str(bert_folder / "tokenizer.json"))
    tokenizer.add_special_tokens(["[MASK]"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path, 13


def test_a_hidden_word_is_one_token(masking: tuple[Path, int]):
    folder, hidden = masking
    encoder = Encoder.open(folder)
    text = "the [MASK] flows[MASK]. the"
    encoded = _encode(folder, "[MASK]", text)
    shown = [token for token in encoded.input_ids[slice(*encoded.passage)].tolist()]
    the, flow, s, point = (encoder.vocabulary[token] for token in ("the", "flow", "##s", "."))
    assert shown == [the, hidden, flow, s, hidden, point, the]
    assert encoded.input_ids[slice(*encoded.question)].tolist() == [hidden]
    covered = [text[start:end] for start, end in encoded.passage_offsets]
    assert covered == ["the", "[MASK]", "flow", "s", "[MASK]", ".", "the"]
    assert encoder.count_tokens([text, "", "[MASK][MASK]"]) == [7, 0, 2]
    assert encoder.count_each([text])[hidden] == 2


def test_without_unknown_words_a_mask_is_spelled(bytes_folder: Path):
    encoded = _encode(bytes_folder, "a", "[MASK]")
    assert encoded.passage_offsets.tolist() == [[i, i + 1] for i in range(6)]


@settings(max_examples=60)
@given(st.lists(st.text(max_size=8), min_size=1, max_size=4))
def test_words_about_a_hidden_one_read_as_they_do_alone(words_folder: Path, parts: list[str]):
    text = "[MASK]".join(parts)
    encoder = Encoder.open(words_folder)
    pieces = text.split("[MASK]")
    alone = [token for part in pieces for token in ["[UNK]", *encoder.tokenize([part])[0]]][1:]
    assert encoder.tokenize([text]) == [alone]
    encoded = _encode(words_folder, "", text, max_length=128)
    assert len(encoded.passage_offsets) == len(alone) == encoder.count_tokens([text])[0]
    starts, ends = encoded.passage_offsets[:, 0], encoded.passage_offsets[:, 1]
    assert (starts < ends).all()
    assert (ends[:-1] <= starts[1:]).all()
