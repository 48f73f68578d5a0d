import json

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import BertPreTokenizer, Whitespace
from tokenizers.processors import TemplateProcessing

from pipeline.text.characters import Alphabet

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{number}" for number in range(60))]


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory):
    """A word-level tokenizer, as plain as can be."""
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture
def pair_batch():
    """A padded batch of [CLS] question [SEP] passage [SEP] and its ranges."""

    def make(sizes=((3, 9), (5, 4), (1, 17)), vocabulary=64, seed=0):
        generator = torch.Generator().manual_seed(seed)
        length = max(question + passage + 3 for question, passage in sizes)
        input_ids = torch.zeros(len(sizes), length, dtype=torch.int64)
        token_type_ids, attention_mask = torch.zeros_like(input_ids), torch.zeros_like(input_ids)
        question_ranges, passage_ranges = [], []
        for row, (question, passage) in enumerate(sizes):
            used = question + passage + 3
            input_ids[row, :used] = torch.randint(4, vocabulary, (used,), generator=generator)
            token_type_ids[row, question + 2 : used] = 1
            attention_mask[row, :used] = 1
            question_ranges.append((1, 1 + question))
            passage_ranges.append((question + 2, question + 2 + passage))
        inputs = {"input_ids": input_ids, "token_type_ids": token_type_ids, "attention_mask": attention_mask}
        return inputs, torch.tensor(question_ranges), torch.tensor(passage_ranges)

    return make


def save_reader_tokenizer(folder, *, has_characters, vector_size=6):
    """What the vocabulary stage writes: tokenizer, alphabet, word vectors, configuration."""
    known = "the of a who wrote sea ship red old man"
    words = ["[PAD]", "[UNK]", "[SEP]", *known.split()]
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="$A", pair="$A:0 [SEP]:0 $B:1", special_tokens=[("[SEP]", 2)]
    )
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[SEP]"])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "QANetTokenizer",
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "sep_token": "[SEP]",
        "model_max_length": 64,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    if has_characters:
        Alphabet(tuple("abcdefghijklmnopqrstuvwxyzS.?")).save(folder)
    generator = torch.Generator().manual_seed(0)
    vectors = {"embeddings": torch.randn(len(words), vector_size, generator=generator)}
    save_file(vectors, folder / "vectors.safetensors")
    return folder


@pytest.fixture(scope="session")
def reader_folder(tmp_path_factory):
    return save_reader_tokenizer(tmp_path_factory.mktemp("words"), has_characters=True)


@pytest.fixture(scope="session")
def plain_reader_folder(tmp_path_factory):
    """Words without characters, as for Chinese."""
    return save_reader_tokenizer(tmp_path_factory.mktemp("plain"), has_characters=False)
