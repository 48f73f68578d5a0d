"""ELECTRA from a teacher's layers; what holds of every architecture is in the contract."""

import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, ElectraConfig, ElectraForPreTraining

from pipeline.errors import ModelError
from pipeline.models import build
from pipeline.models.head import Head
from pipeline.text.build import build_tokenizer

SHAPE = {"hidden_size": 8, "embedding_size": 4, "intermediate_size": 16, "num_attention_heads": 2}
HEAD = Head("SequenceClassification", ("no", "yes"), "single_label_classification")


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    folder = tmp_path / "teacher"
    build_tokenizer(["the sea and an old sailor of ships"], folder, kind="words")
    torch.manual_seed(0)
    config = ElectraConfig(vocab_size=16, num_hidden_layers=3, max_position_embeddings=32, **SHAPE)
    ElectraForPreTraining(config).save_pretrained(folder)
    return folder


def test_layers_of_a_published_discriminator(teacher: Path, tmp_path: Path) -> None:
    options = {"num_hidden_layers": 2, "layers": [0, 2], "max_length": 32, "init_from": str(teacher), **SHAPE}
    student = build("electra", teacher, options, seed=1, head=HEAD).eval()
    whole = AutoModelForSequenceClassification.from_pretrained(teacher, num_labels=2).eval()
    whole.electra.encoder.layer = torch.nn.ModuleList([whole.electra.encoder.layer[at] for at in (0, 2)])
    whole.classifier.load_state_dict(student.classifier.state_dict())
    ids = torch.tensor([[3, 4, 5, 6]])
    with torch.no_grad():
        torch.testing.assert_close(student(input_ids=ids).logits, whole(input_ids=ids).logits)


def test_what_does_not_fit(teacher: Path) -> None:
    start = {"num_hidden_layers": 2, "max_length": 32, "init_from": str(teacher), **SHAPE}
    with pytest.raises(ModelError, match="embedding_size 8 where the teacher has 4"):
        build("electra", teacher, {**start, "embedding_size": 8}, seed=1, head=HEAD)
    with pytest.raises(ModelError, match="embedding_size 0"):
        build("electra", teacher, {**start, "embedding_size": 0}, seed=1, head=HEAD)
    bert = {key: value for key, value in start.items() if key != "embedding_size"}
    with pytest.raises(ModelError, match="embedding_size None where the teacher has 4"):
        build("bert", teacher, bert, seed=1, head=HEAD)


def test_another_tokenizer(teacher: Path, tmp_path: Path) -> None:
    shutil.copytree(teacher, tmp_path / "other")
    build_tokenizer(["the sea and an old sailor of boats"], tmp_path / "other", kind="words")
    options = {"num_hidden_layers": 1, "max_length": 32, "init_from": str(teacher), **SHAPE}
    with pytest.raises(ModelError, match="another tokenizer"):
        build("electra", tmp_path / "other", options, seed=1, head=HEAD)
