import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from pipeline.errors import ModelError
from pipeline.models.vocabulary import Vocabulary


def test_sizes_and_ids(reader_folder, plain_reader_folder):
    assert Vocabulary.read(reader_folder) == Vocabulary(size=13, pad=0, unknown=1, num_characters=31)
    assert Vocabulary.read(plain_reader_folder).num_characters == 0


def test_the_highest_id_counts(tmp_path):
    words = {"<pad>": 3, "one": 9}
    Tokenizer(WordLevel(words, unk_token="one")).save(str(tmp_path / "tokenizer.json"))
    assert Vocabulary.read(tmp_path) == Vocabulary(size=10, pad=3, unknown=None, num_characters=0)


def test_no_padding_token(tmp_path):
    Tokenizer(WordLevel({"one": 0}, unk_token="one")).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ModelError, match="a padding token"):
        Vocabulary.read(tmp_path)
