import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForQuestionAnswering, BertPreTrainedModel

from pipeline.inference.publish import publish
from pipeline.inference.workers import Workers
from pipeline.models import rmr
from pipeline.schema import Answer, Passage, Segment
from pipeline.tables import write_rows
from pipeline.text.vocabulary import vocabulary

NAMES = [
    "ada",
    "bob",
    "cid",
    "dan",
    "eve",
    "fay",
    "gus",
    "hal",
    "ivy",
    "jon",
    "kay",
    "leo",
    "mia",
    "ned",
    "oli",
    "pam",
]
PLACES = ["rome", "oslo", "lima", "bern", "cork", "doha", "kiev", "lyon", "nice", "pune", "riga", "sofia"]
VERBS = ["lives", "works", "sleeps"]
WORDS = [*NAMES, *PLACES, *VERBS, "in", "where", "does", "live", "and", "also", ".", "?", "##s", "the"]


@pytest.fixture(scope="session")
def workers() -> Iterator[Workers]:
    """Two processes on this machine, one thread each; a test may kill one."""
    # dask takes a second to import, and few tests need it.
    from pipeline.inference.scale_out import cluster

    with socket.socket() as taken:
        # Another cluster on this machine must not matter: this is where dask likes to be.
        with contextlib.suppress(OSError):
            taken.bind(("", 8787))
            taken.listen()
        with cluster("local:2", threads=1) as started:
            yield started


@pytest.fixture(autouse=True)
def _own_stamps(tmp_path, monkeypatch):
    """Checksums remembered by a cache stay out of the user's home."""
    monkeypatch.setenv("COLDBREW_CACHE", str(tmp_path / "stamps"))


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory) -> Path:
    """A small WordPiece tokenizer with BERT's layout, and the limit of 8 tokens that must not be obeyed."""
    vocabulary = {word: at for at, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=8)
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
    return folder


def make_passages(count: int, *, seed: int = 0, unlabelled: int = 0) -> list[Passage]:
    """Templated facts of very different lengths; the last `unlabelled` have no answer."""
    random = np.random.default_rng(seed)
    rows = []
    for row in range(count):
        people = random.permutation(NAMES)[: random.integers(1, 12)]
        facts = [(name, random.choice(VERBS), random.choice(PLACES)) for name in people]
        text = " ".join(f"{name} {verb} in {place} ." for name, verb, place in facts)
        name, verb, place = facts[random.integers(len(facts))]
        start = text.index(f"{name} {verb} in {place}") + len(f"{name} {verb} in ")
        answers = () if row >= count - unlabelled else (Answer(place, start),)
        rows.append(
            Passage(
                example=row,
                window=0,
                id=str(row),
                question=f"where does {name} live ?",
                text=text,
                segments=(Segment(0, 0, len(text)),),
                answers=answers,
                gold_texts=tuple(answer.text for answer in answers),
            )
        )
    return rows


@pytest.fixture(scope="session")
def passages():
    return make_passages


@pytest.fixture
def passage_folder(tmp_path):
    """Writes passages by split into a folder."""

    def write(**splits: list[Passage]) -> Path:
        folder = tmp_path / "passages"
        for split, rows in splits.items():
            write_rows(folder / f"{split}.arrow", Passage, rows)
        return folder

    return write


def formula_weights(model: torch.nn.Module) -> None:
    """Weights from a formula, so that they owe nothing to a random number generator."""
    with torch.no_grad():
        for at, (name, parameter) in enumerate(sorted(model.named_parameters())):
            steps = torch.arange(parameter.numel(), dtype=torch.float64)
            wave = torch.sin(steps * 0.7 + steps**2 * 0.01 + at).reshape(parameter.shape)
            scale, shift = (0.1, 1.0) if "LayerNorm.weight" in name else (0.4, 0.0)
            parameter.copy_((shift + scale * wave).float())


def _config(**options: int) -> BertConfig:
    return BertConfig(
        vocab_size=5 + len(WORDS),
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=96,
        pad_token_id=0,
        **options,
    )


@pytest.fixture(scope="session")
def make_classifier():
    """Makes a tiny BERT with three classes, a row or a token; weights are those of the teacher's formula."""

    def make(kind: type[BertPreTrainedModel]) -> BertPreTrainedModel:
        model = kind(_config(num_labels=3)).eval()
        formula_weights(model)
        return model

    return make


@pytest.fixture(scope="session")
def make_teacher(tmp_path_factory, tokenizer_folder):
    """Writes a tiny BERT with a span head into a folder; `scale` makes another teacher of it."""

    def make(folder: Path | None = None, *, scale: float = 1.0) -> Path:
        folder = folder or tmp_path_factory.mktemp("teacher")
        model = BertForQuestionAnswering(_config())
        formula_weights(model)
        with torch.no_grad():
            model.qa_outputs.weight.mul_(scale)
        model.save_pretrained(folder)
        for file in tokenizer_folder.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        return folder

    return make


@pytest.fixture(scope="session")
def teacher_folder(make_teacher) -> Path:
    return make_teacher()


@pytest.fixture(scope="session")
def two_step_folder(tmp_path_factory) -> Path:
    """A tiny RMR, whose end depends on its start, with a tokenizer of words and their spelling."""
    words = tmp_path_factory.mktemp("two_step") / "words"
    vocabulary(words, kind="words", texts=[" ".join(WORDS[:-8])])
    model = rmr.build(
        words,
        word_size=8,
        trainable_words=True,
        hidden_size=6,
        num_aligning_layers=2,
        character_size=4,
        character_filters=4,
    )
    formula_weights(model)
    folder = tmp_path_factory.mktemp("two_step")
    publish(model, words, folder)
    return folder
