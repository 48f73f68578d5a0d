import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.processors import TemplateProcessing

from pipeline.errors import ModelError
from pipeline.models.vocabulary import Vocabulary, check_pairs


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


@pytest.mark.parametrize(
    ("pair", "is_told_apart"),
    [
        ("$A [SEP] $B:1", True),
        ("[CLS] $A [SEP] $B:1 [SEP]:1", True),  # BERT's
        ("[CLS] $A [SEP] [SEP] $B [SEP]", False),  # RoBERTa's
    ],
)
def test_texts_of_a_pair_have_types_of_their_own(tmp_path, pair, is_told_apart):
    tokenizer = Tokenizer(WordLevel({"[PAD]": 0, "[CLS]": 1, "[SEP]": 2, "[UNK]": 3}, unk_token="[UNK]"))
    tokenizer.post_processor = TemplateProcessing(
        single="$A", pair=pair, special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    if is_told_apart:
        check_pairs(tmp_path, "rmr")
    else:
        with pytest.raises(ModelError, match=r"'rmr' knows .*; got .* with token types 0 0 0 0 0 0;"):
            check_pairs(tmp_path, "rmr")
