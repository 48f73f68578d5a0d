import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from pipeline import fingerprint
from pipeline.cache.arrow import ArrowBackend
from pipeline.cache.ragged import Ragged
from pipeline.models.bert import build
from pipeline.schema import Answer, Passage, Segment
from pipeline.tables import write_rows
from pipeline.text.tokenizers import Encoder

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
WORDS = [*SPECIAL, "?", "where", "is", *(f"w{number}" for number in range(57))]


def save_tokenizer(folder, words):
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.save(str(folder / "tokenizer.json"))


@pytest.fixture(scope="session")
def make_model(tmp_path_factory):
    """Write a tiny random BERT with its tokenizer."""

    def make(seed=0, max_length=32):
        folder = tmp_path_factory.mktemp("model")
        save_tokenizer(folder, WORDS)
        model = build(
            folder,
            num_hidden_layers=1,
            hidden_size=16,
            intermediate_size=16,
            num_attention_heads=2,
            max_length=max_length,
            seed=seed,
        )
        model.save_pretrained(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def model_folder(make_model):
    return make_model()


@pytest.fixture(scope="session")
def seeker(make_model):
    """A model whose answer is always the word w49: its weights let only that word's embedding through."""
    folder = make_model()
    tensors = {
        name: np.zeros_like(values) for name, values in load_file(folder / "model.safetensors").items()
    }
    for name, values in tensors.items():
        if name.endswith("LayerNorm.weight"):
            values[:] = 1
    mark = np.where(np.arange(16) % 2, 1.0, -1.0)
    tensors["bert.embeddings.word_embeddings.weight"][WORDS.index("w49")] = mark
    tensors["qa_outputs.weight"][:] = mark
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


@pytest.fixture
def passage():
    """A passage that is its whole context."""

    def make(text, example=0, window=0, golds=(), context_start=0):
        return Passage(
            example=example,
            window=window,
            id=f"id{example}",
            question="where is w1 ?",
            text=text,
            segments=(Segment(0, context_start, len(text)),),
            answers=tuple(Answer(gold, text.index(gold)) for gold in golds if gold in text),
            gold_texts=tuple(golds),
        )

    return make


@pytest.fixture
def write_inputs(tmp_path):
    """An evaluation inputs folder, as bind writes it."""

    def write(model, sets, language="en", max_length=32):
        folder = tmp_path / "inputs"
        encoder = Encoder.open(model)
        entries = {}
        for key, passages in sets.items():
            encoded = encoder.encode(
                [row.question for row in passages],
                [row.text for row in passages],
                max_length=max_length,
                max_question_tokens=8,
            )
            folder.mkdir(exist_ok=True)
            columns = {
                "input_ids": Ragged.from_rows([row.input_ids for row in encoded], np.int32),
                "token_type_ids": Ragged.from_rows([row.token_type_ids for row in encoded], np.uint8),
                "question": Ragged.from_rows([np.array(row.question) for row in encoded], np.int32),
                "passage": Ragged.from_rows([np.array(row.passage) for row in encoded], np.int32),
                "passage_offsets": Ragged.from_rows(
                    [row.passage_offsets.reshape(-1) for row in encoded], np.int32
                ),
            }
            ArrowBackend().write(folder / f"{key}.arrow", columns, {})
            write_rows(folder / f"{key}.passages.arrow", Passage, passages)
            entries[key] = {
                "rows": len(passages),
                "file": f"{key}.arrow",
                "passages": f"{key}.passages.arrow",
            }
        described = {
            "name": "small",
            "language": language,
            "tokenizer": fingerprint.tokenizer(model),
            "max_length": max_length,
            "sets": entries,
        }
        (folder / "inputs.json").write_text(json.dumps(described))
        return folder

    return write
