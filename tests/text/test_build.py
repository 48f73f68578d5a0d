"""Tokenizers made out of text."""

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from pipeline.errors import DataError, ParamsError
from pipeline.text.build import build_tokenizer
from pipeline.text.tokenizers import Encoder


def _encode(folder: Path, question: str, text: str, max_length: int = 64, max_question_tokens: int = 16):
    (encoded,) = Encoder.open(folder).encode(
        [question], [text], max_length=max_length, max_question_tokens=max_question_tokens
    )
    return encoded


def test_words_stand_in_order_of_frequency_then_code_point(tmp_path: Path):
    build_tokenizer(["b a c b", "C d"], tmp_path, kind="words")
    words = sorted(Encoder.open(tmp_path).vocabulary.items(), key=lambda item: item[1])
    assert [word for word, _ in words] == ["[PAD]", "[UNK]", "[SEP]", "b", "c", "a", "d"]


def test_rare_words_and_words_past_the_limit_are_unknown(tmp_path: Path):
    build_tokenizer(["a a a b b c"], tmp_path / "frequent", kind="words", min_frequency=2)
    build_tokenizer(["a a a b b c"], tmp_path / "few", kind="words", max_words=1)
    assert set(Encoder.open(tmp_path / "frequent").vocabulary) == {"[PAD]", "[UNK]", "[SEP]", "a", "b"}
    assert set(Encoder.open(tmp_path / "few").vocabulary) == {"[PAD]", "[UNK]", "[SEP]", "a"}


def test_case_is_kept_where_asked(tmp_path: Path):
    build_tokenizer(["Elbe elbe"], tmp_path, kind="words", lowercase=False)
    assert {"Elbe", "elbe"} <= set(Encoder.open(tmp_path).vocabulary)


def test_the_same_texts_give_the_same_bytes(tmp_path: Path):
    for name in ("one", "two"):
        build_tokenizer(["b a", "a c"], tmp_path / name, kind="words")
    for file in ("tokenizer.json", "tokenizer_config.json", "characters.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_texts_without_words_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match="words to build a tokenizer from; got none"):
        build_tokenizer(["  ", ""], tmp_path, kind="words")


def test_an_unknown_kind_gets_a_hint(tmp_path: Path):
    with pytest.raises(ParamsError, match="did you mean 'words'"):
        build_tokenizer(["a"], tmp_path, kind="word")


@pytest.mark.parametrize("kind", ["words", "characters"])
def test_auto_tokenizer_reads_a_pair_alike(tmp_path: Path, kind: str):
    from transformers import AutoTokenizer

    build_tokenizer(["Who flows? The Elbe 长江."], tmp_path, kind=kind)
    question, text = "Who?", "The Elbe 长江."
    theirs = AutoTokenizer.from_pretrained(tmp_path)(question, text, return_offsets_mapping=True)
    ours = _encode(tmp_path, question, text)
    assert theirs["input_ids"] == ours.input_ids.tolist()
    assert theirs["token_type_ids"] == ours.token_type_ids.tolist()
    assert theirs["offset_mapping"][slice(*ours.passage)] == [tuple(o) for o in ours.passage_offsets.tolist()]


@pytest.mark.parametrize("kind", ["words", "characters"])
def test_a_hidden_word_is_no_word_of_a_built_vocabulary(tmp_path: Path, kind: str):
    build_tokenizer(["a [MASK] b", "[MASK]"], tmp_path, kind=kind)
    encoder = Encoder.open(tmp_path)
    assert set(encoder.vocabulary) == {"[PAD]", "[UNK]", "[SEP]", "a", "b"}
    assert encoder.tokenize(["b [MASK]a"]) == [["b", "[UNK]", "a"]]


@pytest.mark.parametrize("kind", ["words", "characters"])
def test_rows_laid_out_as_for_bert(tmp_path, kind):
    build_tokenizer(["a b c"], tmp_path, kind=kind, cls_token=True)
    encoder = Encoder.open(tmp_path)
    assert encoder.vocabulary["[CLS]"] == 3
    pair, single = encoder.encode(["a b", ""], ["c", "b"], max_length=16, max_question_tokens=4)
    assert pair.input_ids.tolist() == [3, 4, 5, 2, 6, 2]
    assert pair.token_type_ids.tolist() == [0, 0, 0, 0, 1, 1]
    assert (pair.question, pair.passage) == ((1, 3), (4, 5))
    assert single.input_ids.tolist() == [3, 5, 2]
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.cls_token == "[CLS]"
    assert loaded("a b", "c")["input_ids"] == pair.input_ids.tolist()
