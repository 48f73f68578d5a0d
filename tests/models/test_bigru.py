"""The BiGRU against a reading word by word, on the words of a teacher, and in transformers' pipelines."""

import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, BertConfig, BertModel, ElectraConfig, ElectraModel, pipeline

from pipeline.errors import ModelError
from pipeline.models import build
from pipeline.models.bigru import BiGRUForTokenClassification
from pipeline.models.head import Head
from pipeline.models.layers import extract_layers
from pipeline.models.observing import observe
from pipeline.text.build import build_tokenizer

TAGS = Head("TokenClassification", ("O", "B-PER"), None)
CLASSES = Head("SequenceClassification", ("no", "yes"), "single_label_classification")
SIZES = {"word_size": 6, "gru_size": 4}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("words")
    build_tokenizer(["the sea and an old sailor of ships"], folder, kind="words")
    return folder


@pytest.fixture(params=["bert", "electra"])
def teacher(request: pytest.FixtureRequest, tokenizer: Path, tmp_path: Path) -> Path:
    """An encoder with more words than its tokenizer has."""
    sizes = {
        "vocab_size": 16,
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 8,
    }
    torch.manual_seed(0)
    encoder = (
        BertModel(BertConfig(**sizes))
        if request.param == "bert"
        else ElectraModel(ElectraConfig(**sizes, embedding_size=6))
    )
    encoder.to(torch.bfloat16).save_pretrained(tmp_path / "teacher")
    shutil.copytree(tokenizer, tmp_path / "teacher", dirs_exist_ok=True)
    return tmp_path / "teacher"


def _states(model: BiGRUForTokenClassification, ids: list[int]) -> Tensor:
    """The states of either direction at each word, each by a cell that steps through the words."""
    sides = []
    for suffix, step in (("", 1), ("_reverse", -1)):
        cell = nn.GRUCell(6, 4)
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        cell.load_state_dict({name: getattr(model.gru, f"{name}_l0{suffix}") for name in names})
        state, states = torch.zeros(1, 4), []
        for word in ids[::step]:
            state = cell(model.words.weight[word][None], state)
            states.append(state[0])
        sides.append(torch.stack(states[::step]))
    return torch.cat(sides, dim=1)


@pytest.mark.parametrize("head", [TAGS, CLASSES], ids=["tags", "classes"])
def test_what_a_row_reads_as(head: Head, tokenizer: Path) -> None:
    model = build("bigru", tokenizer, SIZES, seed=1, head=head).eval()
    rows = [[3, 4, 5, 6], [7]]
    ids = torch.tensor([row + [0] * (4 - len(row)) for row in rows])
    mask = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0]])
    with torch.no_grad(), observe(model, hidden=[0, 1]) as seen:
        logits = model(input_ids=ids, attention_mask=mask).logits
        for row, own in enumerate(rows):
            states = _states(model, own)
            torch.testing.assert_close(seen.hidden[1][row, : len(own)], states)
            torch.testing.assert_close(seen.hidden[0][row, : len(own)], model.words.weight[own])
            ends = torch.cat([states[-1, :4], states[0, 4:]])
            wanted = model.classifier(ends if head is CLASSES else states)
            torch.testing.assert_close(logits[row] if head is CLASSES else logits[row, : len(own)], wanted)


def test_words_of_a_teacher(teacher: Path, tokenizer: Path, tmp_path: Path) -> None:
    from transformers import AutoModel

    table = AutoModel.from_pretrained(teacher, dtype="float32").get_input_embeddings().weight
    extract_layers(teacher, [], tmp_path / "initial.safetensors")
    direct = build("bigru", tokenizer, {"init_from": str(teacher)}, seed=1, head=TAGS)
    shutil.rmtree(teacher)
    options = {"init_from": str(teacher), "initial": tmp_path / "initial.safetensors"}
    for model in (direct, build("bigru", tokenizer, options, seed=1, head=TAGS)):
        assert model.words.weight.requires_grad
        assert torch.equal(model.words.weight, table)
        assert model.config.vocab_size == 16
        assert model.config.word_size == table.shape[1]


def test_what_does_not_fit(teacher: Path, tokenizer: Path, tmp_path: Path) -> None:
    start = {"init_from": str(teacher)}
    with pytest.raises(ModelError, match="word_size 5 where the teacher has"):
        build("bigru", tokenizer, {**start, "word_size": 5}, seed=1, head=TAGS)
    build_tokenizer(["other words than those"], tmp_path / "other", kind="words")
    with pytest.raises(ModelError, match="another tokenizer"):
        build("bigru", tmp_path / "other", start, seed=1, head=TAGS)
    with pytest.raises(ModelError, match="gru_size 0; dropout 1"):
        build("bigru", tokenizer, {"gru_size": 0, "dropout": 1.0}, seed=1, head=TAGS)


def test_transformers_pipeline_tags_with_it(tokenizer: Path, tmp_path: Path) -> None:
    model = build("bigru", tokenizer, SIZES, seed=1, head=TAGS)
    with torch.no_grad():
        model.classifier.bias.copy_(torch.tensor([0.0, 100.0]))
    model.save_pretrained(tmp_path)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer / file, tmp_path)
    tagger = pipeline(
        "token-classification", model=str(tmp_path), tokenizer=AutoTokenizer.from_pretrained(tmp_path)
    )
    found = tagger(["the old sailor", "ships"], batch_size=2)
    assert [len(row) for row in found] == [3, 1]
    assert {entity["entity"] for row in found for entity in row} == {"B-PER"}
    words = [entity["word"] for entity in tagger("the old sailor", ignore_labels=[])]
    assert words == ["the", "old", "sailor"]
