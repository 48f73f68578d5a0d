import shutil

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, DataCollatorWithPadding

from pipeline.models.qanet_tokenizer import QANetTokenizer
from pipeline.text.tokenizers import Encoder

QUESTIONS = ["Who wrote of the sea?", "who?", "a Zeppelin of the man"]
TEXTS = ["The old man wrote. Of a Zanzibarian red ship he wrote?", "Santiago", "a man of the sea"]


@pytest.fixture(scope="module")
def tokenizer(reader_folder):
    return AutoTokenizer.from_pretrained(reader_folder)


def test_auto_tokenizer_finds_the_class(tokenizer, plain_reader_folder):
    assert isinstance(tokenizer, QANetTokenizer)
    plain = AutoTokenizer.from_pretrained(plain_reader_folder)
    assert isinstance(plain, QANetTokenizer)
    assert plain.alphabet is None
    assert "character_ids" not in plain("who", "the sea")


def test_a_pair_is_encoded_as_the_encoder_does(tokenizer, reader_folder):
    rows = Encoder.open(reader_folder).encode(QUESTIONS, TEXTS, max_length=64, max_question_tokens=32)
    encoded = tokenizer(QUESTIONS, TEXTS)
    for row, expected in enumerate(rows):
        assert encoded["input_ids"][row] == expected.input_ids.tolist()
        assert encoded["token_type_ids"][row] == expected.token_type_ids.tolist()
        np.testing.assert_array_equal(encoded["character_ids"][row], expected.character_ids)


def test_one_pair_has_no_batch_axis(tokenizer):
    batch = tokenizer(QUESTIONS, TEXTS)
    single = tokenizer(QUESTIONS[2], TEXTS[2])
    for name in ("input_ids", "token_type_ids", "character_ids"):
        assert single[name] == batch[name][2]
    assert tokenizer(QUESTIONS[2])["character_ids"] == single["character_ids"][:5]
    assert tokenizer([QUESTIONS[2]])["character_ids"] == [single["character_ids"][:5]]


def test_tensors_are_padded(tokenizer):
    lists = tokenizer(QUESTIONS, TEXTS)
    tensors = tokenizer(QUESTIONS, TEXTS, padding=True, return_tensors="pt")
    assert tensors["character_ids"].shape == (*tensors["input_ids"].shape, 16)
    for row, spelt in enumerate(lists["character_ids"]):
        assert tensors["character_ids"][row, : len(spelt)].tolist() == spelt
        assert (tensors["character_ids"][row, len(spelt) :] == 0).all()
    single = tokenizer(QUESTIONS[0], TEXTS[0], return_tensors="pt")
    assert torch.equal(single["character_ids"][0], torch.tensor(lists["character_ids"][0]))


def test_a_collator_pads_them_too(tokenizer):
    rows = [tokenizer(question, text) for question, text in zip(QUESTIONS, TEXTS, strict=True)]
    collated = DataCollatorWithPadding(tokenizer)([dict(row) for row in rows])
    together = tokenizer(QUESTIONS, TEXTS, padding=True, return_tensors="pt")
    assert torch.equal(collated["character_ids"], together["character_ids"])
    left = tokenizer.pad([dict(row) for row in rows], padding_side="left")
    assert left["character_ids"][1][-len(rows[1]["input_ids"]) :] == rows[1]["character_ids"]
    assert left["character_ids"][1][0] == [0] * 16


def test_windows_are_spelt_from_their_own_text(tokenizer):
    encoded = tokenizer(
        QUESTIONS, TEXTS, truncation="only_second", max_length=9, stride=1, return_overflowing_tokens=True
    )
    assert len(encoded["input_ids"]) > 3
    whole = tokenizer(QUESTIONS, TEXTS, return_offsets_mapping=True)
    for window, origin in enumerate(encoded["overflow_to_sample_mapping"]):
        known = {tuple(spelling) for spelling in whole["character_ids"][origin]}
        assert {tuple(spelling) for spelling in encoded["character_ids"][window]} <= known


def test_words_need_a_text(tokenizer):
    with pytest.raises(ValueError, match="give texts, not lists of words"):
        tokenizer([["who", "wrote"]], is_split_into_words=True)


def test_it_outlives_its_folder_and_a_round_trip(reader_folder, tmp_path):
    shutil.copytree(reader_folder, tmp_path / "first")
    first = AutoTokenizer.from_pretrained(tmp_path / "first")
    shutil.rmtree(tmp_path / "first")
    first.save_pretrained(tmp_path / "second")
    second = AutoTokenizer.from_pretrained(tmp_path / "second")
    assert second.alphabet == first.alphabet
    assert dict(second(QUESTIONS, TEXTS)) == dict(first(QUESTIONS, TEXTS))
