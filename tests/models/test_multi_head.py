import json

import numpy as np
import pytest
import torch
from transformers import AutoModel

from pipeline.models.multi_head import MultiHeadBert, MultiHeadBertConfig, mean_prediction
from pipeline.models.reading import read, read_batch, read_heads

HEADS = {
    "gold": {"kind": "SequenceClassification", "num_labels": 2, "is_score": False},
    "like_a": {"kind": "SequenceClassification", "num_labels": 1, "is_score": True},
    "like_b": {"kind": "SequenceClassification", "num_labels": 1, "is_score": True},
    "tags": {"kind": "TokenClassification", "num_labels": 5, "is_score": False},
    "spans": {"kind": "QuestionAnswering", "num_labels": 2, "is_score": False},
}


@pytest.fixture
def model():
    torch.manual_seed(0)
    config = MultiHeadBertConfig(
        vocab_size=30,
        num_hidden_layers=2,
        hidden_size=16,
        intermediate_size=32,
        num_attention_heads=2,
        heads=HEADS,
        predicting=["gold", "like_a", "like_b"],
    )
    return MultiHeadBert(config).eval()


@pytest.fixture
def inputs():
    ids = torch.randint(4, 30, (3, 7), generator=torch.Generator().manual_seed(1))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def test_the_prediction_is_the_mean_of_gold_and_scores(model, inputs):
    with torch.no_grad():
        outputs = model(**inputs)
    said = {name: values.double().numpy() for name, values in outputs.heads.items()}
    gold = np.exp(said["gold"][:, 1]) / np.exp(said["gold"]).sum(1)
    # Yang et al. 2019, eq. 6, with two teachers.
    wanted = (gold + sigmoid(said["like_a"][:, 0]) + sigmoid(said["like_b"][:, 0])) / 3
    got = outputs.logits.softmax(dim=-1)
    np.testing.assert_allclose(got[:, 1].numpy(), wanted, rtol=1e-5)
    np.testing.assert_allclose(got.sum(dim=1).numpy(), 1, rtol=1e-6)


def test_without_a_gold_head_the_prediction_is_the_mean_of_the_scores(model, inputs):
    model.config.predicting = ["like_a", "like_b"]
    with torch.no_grad():
        outputs = model(**inputs)
    scores = [sigmoid(outputs.heads[name][:, 0].numpy()) for name in ("like_a", "like_b")]
    np.testing.assert_allclose(outputs.logits.softmax(-1)[:, 1].numpy(), np.mean(scores, 0), rtol=1e-5)


def test_one_head_predicts_what_it_says(model, inputs):
    for name, values in model(**inputs).heads.items():
        model.config.predicting = [name]
        outputs = model(**inputs)
        if name == "spans":
            assert torch.equal(torch.stack([outputs.start_logits, outputs.end_logits], -1), values)
        elif values.shape[-1] > 1:
            assert torch.equal(outputs.logits, values)


def test_extreme_scores_stay_finite():
    logits = mean_prediction([torch.tensor([[500.0], [-500.0]]), torch.tensor([[-1e4, 1e4], [3e4, -3e4]])])
    assert logits.isfinite().all()
    assert logits.argmax(dim=1).tolist() == [1, 0]


def test_heads_of_rows_read_the_first_token_and_others_all(model, inputs):
    shapes = {name: tuple(values.shape) for name, values in model(**inputs).heads.items()}
    assert shapes == {
        "gold": (3, 2),
        "like_a": (3, 1),
        "like_b": (3, 1),
        "tags": (3, 7, 5),
        "spans": (3, 7, 2),
    }


def test_a_saved_model_is_the_same_model(model, inputs, tmp_path):
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["heads"] == HEADS
    loaded = AutoModel.from_pretrained(tmp_path).eval()
    assert isinstance(loaded, MultiHeadBert)
    with torch.no_grad():
        one, other = model(**inputs), loaded(**inputs)
    torch.testing.assert_close(other.logits, one.logits)
    torch.testing.assert_close(other.heads, one.heads)
    weights = loaded.state_dict()
    assert all(torch.equal(weights[name], values) for name, values in model.state_dict().items())


def test_a_heads_gradient_reaches_the_encoder_and_no_other_head(model, inputs):
    model(**inputs).heads["like_a"].sum().backward()
    assert model.bert.embeddings.word_embeddings.weight.grad.abs().sum() > 0
    assert [name for name, layer in model.heads.items() if layer.weight.grad is not None] == ["like_a"]


def test_every_head_is_read_as_a_model_of_its_task_is(model, inputs):
    batch = {
        "inputs": inputs,
        "question": torch.tensor([[1, 2], [1, 3], [1, 2]]),
        "passage": torch.tensor([[3, 6], [4, 6], [3, 7]]),
        "words": torch.tensor([[3, 5], [4, -1], [3, 6]]),
    }
    with torch.no_grad():
        said = read_heads(model, batch, list(HEADS), attention_layer=-1)
        for name in HEADS:
            model.config.predicting = [name]
            alone = read_batch(model, batch)
            if name.startswith("like"):  # read alone, it is the two classes that it scores
                scores = alone.class_logits.softmax(-1)[:, 1:]
                torch.testing.assert_close(said.of(name).class_logits.sigmoid(), scores)
            else:
                for mine, theirs in zip(said.of(name).parts, alone.parts, strict=True):
                    torch.testing.assert_close(mine.logits, theirs.logits)
                    assert torch.equal(mine.mask, theirs.mask)
        direct = read(model, inputs, batch["question"], batch["passage"], attention_layer=-1)
    torch.testing.assert_close(said.of("spans").qa_attention, direct.qa_attention)
