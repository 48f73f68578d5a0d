"""The BiLSTM of Wu et al. 2020: a sentence and a comparison of two, against a reading word by word."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification

from pipeline.errors import ModelError
from pipeline.models import build
from pipeline.models.bilstm import BiLSTMForSequenceClassification
from pipeline.models.head import Head
from pipeline.models.observing import observe
from pipeline.text.build import build_tokenizer

HEAD = Head("SequenceClassification", ("no", "yes"), "single_label_classification")
SIZES = {"word_size": 6, "lstm_size": 4, "sentence_size": 5, "classifier_size": 3}
SEPARATOR = 2


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("words")
    build_tokenizer(["the sea and an old sailor of ships"], folder, kind="words")
    return folder


@pytest.fixture(params=[False, True], ids=["one", "pairs"])
def model(request: pytest.FixtureRequest, tokenizer: Path) -> BiLSTMForSequenceClassification:
    built = build("bilstm", tokenizer, {**SIZES, "pairs": request.param}, seed=1, head=HEAD)
    assert isinstance(built, BiLSTMForSequenceClassification)
    return built.eval()


def _states(model: BiLSTMForSequenceClassification, ids: list[int]) -> Tensor:
    """The last state of either direction, each by a cell that steps through the words."""
    last = []
    for suffix, order in (("", ids), ("_reverse", ids[::-1])):
        cell = nn.LSTMCell(6, 4)
        cell.load_state_dict(
            {
                f"{name}": getattr(model.lstm, f"{name}_l0{suffix}")
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            }
        )
        state = torch.zeros(1, 4), torch.zeros(1, 4)
        for word in order:
            state = cell(model.words.weight[word][None], state)
        last.append(state[0][0])
    return torch.cat(last)


def _padded(rows: list[list[int]]) -> Tensor:
    return torch.tensor([row + [0] * (max(map(len, rows)) - len(row)) for row in rows])


def test_sentences(model: BiLSTMForSequenceClassification) -> None:
    rows = [[3, 4, 5, 6], [7], [8, 3]]
    mask = _padded([[1] * len(row) for row in rows])
    with torch.no_grad(), observe(model, hidden=[0, 1]) as seen:
        logits = model(input_ids=_padded(rows), attention_mask=mask, token_type_ids=mask * 0).logits
        for row, ids in enumerate(rows):
            states = _states(model, ids)
            vector = torch.tanh(model.sentence.weight @ states)
            torch.testing.assert_close(seen.hidden[1][row], vector.expand(4, 5))
            if not model.config.pairs:
                torch.testing.assert_close(logits[row], model.classifier(vector))


def test_pairs(tokenizer: Path) -> None:
    model = build("bilstm", tokenizer, {**SIZES, "pairs": True}, seed=1, head=HEAD).eval()
    pairs = [([3, 4, 5], [6, 7]), ([8], [3, 5, 4, 6])]
    rows = [[*first, SEPARATOR, *second] for first, second in pairs]
    types = [[0] * (len(first) + 1) + [1] * len(second) for first, second in pairs]
    mask = [[1] * len(row) for row in rows]
    with torch.no_grad():
        logits = model(
            input_ids=_padded(rows), attention_mask=_padded(mask), token_type_ids=_padded(types)
        ).logits
        for row, (first, second) in enumerate(pairs):
            u, v = _states(model, first), _states(model, second)
            wanted = model.classifier(torch.cat([u, v, (u - v).abs(), u * v]))
            torch.testing.assert_close(logits[row], wanted)


def test_gradient_reaches_every_weight_that_a_row_needs(model: BiLSTMForSequenceClassification) -> None:
    ids, types = torch.tensor([[3, 4, SEPARATOR, 5, 6]]), torch.tensor([[0, 0, 0, 1, 1]])
    if not model.config.pairs:
        types = types * 0
    model.train()(input_ids=ids, attention_mask=ids * 0 + 1, token_type_ids=types).logits.sum().backward()
    unreached = {name for name, weight in model.named_parameters() if weight.grad is None}
    # What classifies pairs compares states, not sentences' vectors.
    assert unreached == ({"sentence.weight"} if model.config.pairs else set())


def test_save_and_load_change_nothing(model: BiLSTMForSequenceClassification, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    ids = torch.tensor([[3, 4, 5]])
    with torch.no_grad():
        torch.testing.assert_close(loaded(ids).logits, model(ids).logits)
    assert loaded.config.id2label == {0: "no", 1: "yes"}


def test_word_vectors_stay_where_they_are_not_trained(tokenizer: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="trainable_words"):
        build("bilstm", tokenizer, {**SIZES, "trainable_words": False}, seed=1, head=HEAD)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (None, "got spans"),
        (Head("TokenClassification", ("O",), None), "tags"),
        ({"a": HEAD}, "several heads"),
    ],
)
def test_other_heads_are_refused(tokenizer: Path, head: Head | None, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build("bilstm", tokenizer, SIZES, seed=1, head=head)


def test_sizes_out_of_range(tokenizer: Path) -> None:
    with pytest.raises(ModelError, match="lstm_size 0; dropout 1"):
        build("bilstm", tokenizer, {**SIZES, "lstm_size": 0, "dropout": 1.0}, seed=1, head=HEAD)
