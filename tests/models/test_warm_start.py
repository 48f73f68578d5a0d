"""First weights from another model: the encoder's always, the head's where they fit."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pipeline.errors import ModelError
from pipeline.models import build
from pipeline.models.head import Head
from pipeline.models.warm_start import start_from
from pipeline.text.build import build_tokenizer

TWO = Head("SequenceClassification", ("no", "yes"), "single_label_classification")
THREE = Head("SequenceClassification", ("no", "maybe", "yes"), "single_label_classification")
BERT = {"num_hidden_layers": 1, "hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2}
BILSTM = {"word_size": 6, "lstm_size": 4, "sentence_size": 5, "classifier_size": 3}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("words")
    build_tokenizer(["the sea and an old sailor of ships"], folder, kind="words")
    return folder


def saved(tokenizer: Path, folder: Path, architecture: str, options: dict[str, Any], head: Any) -> Path:
    build(architecture, tokenizer, options, seed=1, head=head).save_pretrained(folder)
    return folder / "model.safetensors"


@pytest.mark.parametrize(("architecture", "options"), [("bert", BERT), ("bilstm", BILSTM)])
def test_a_head_that_fits_comes_along(
    architecture: str, options: dict[str, Any], tokenizer: Path, tmp_path: Path
) -> None:
    weights = saved(tokenizer, tmp_path, architecture, options, TWO)
    model = build(architecture, tokenizer, options, seed=2, head=TWO)
    assert start_from(model, weights) == []
    given = load_file(weights)
    for name, values in model.state_dict().items():
        assert torch.equal(values, given[name])


@pytest.mark.parametrize(
    ("architecture", "options", "head"),
    [("bert", BERT, THREE), ("bilstm", {**BILSTM, "pairs": True}, TWO), ("bert", BERT, None)],
)
def test_another_head_keeps_its_own_first_weights(
    architecture: str, options: dict[str, Any], head: Any, tokenizer: Path, tmp_path: Path
) -> None:
    single = {name: value for name, value in options.items() if name != "pairs"}
    weights = saved(tokenizer, tmp_path, architecture, single, TWO)
    fresh = build(architecture, tokenizer, options, seed=2, head=head).state_dict()
    model = build(architecture, tokenizer, options, seed=2, head=head)
    afresh = start_from(model, weights)
    given = load_file(weights)
    assert afresh
    assert all(name.startswith(("classifier.", "qa_outputs.")) for name in afresh)
    for name, values in model.state_dict().items():
        assert torch.equal(values, fresh[name] if name in afresh else given[name])


def test_another_encoder_is_refused_by_the_names_that_do_not_fit(tokenizer: Path, tmp_path: Path) -> None:
    weights = saved(tokenizer, tmp_path, "bert", BERT, TWO)
    deeper = build("bert", tokenizer, {**BERT, "num_hidden_layers": 2}, seed=2, head=TWO)
    with pytest.raises(ModelError, match=r"got none, or others, of bert\.encoder\.layer\.1\."):
        start_from(deeper, weights)
    wider = build("bilstm", tokenizer, {**BILSTM, "lstm_size": 5}, seed=2, head=TWO)
    with pytest.raises(ModelError, match="an encoder like that of this BiLSTMForSequenceClassification"):
        start_from(wider, saved(tokenizer, tmp_path, "bilstm", BILSTM, TWO))


def test_a_file_that_is_not_there_is_named(tokenizer: Path, tmp_path: Path) -> None:
    model = build("bert", tokenizer, BERT, seed=2, head=TWO)
    with pytest.raises(ModelError, match=r"gone\.safetensors: expected the weights of a finished student"):
        start_from(model, tmp_path / "gone.safetensors")
