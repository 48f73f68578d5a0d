"""Models of any kind, read through a map of their outputs."""

import re
import sys

import pytest
import torch
from transformers import (
    AutoModelForQuestionAnswering,
    BertConfig,
    BertForQuestionAnswering,
    MPNetConfig,
    MPNetForQuestionAnswering,
)

from pipeline.errors import ModelError
from pipeline.models import build
from pipeline.models.observing import observe
from pipeline.models.output_map import give_map, map_problems
from pipeline.models.reading import read, run

SMALL = {
    "vocab_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2, "hidden_size": 8,
    "intermediate_size": 16,
}  # fmt: skip
BERT = {
    "start_logits": "qa_outputs[..., 0]",
    "end_logits": "qa_outputs[..., 1]",
    "hidden_states": ["bert.embeddings", "bert.encoder.layer.*"],
    "queries": "bert.encoder.layer.*.attention.self.query",
    "keys": "bert.encoder.layer.*.attention.self.key",
}

OWN = """
def adaptor(outputs, inputs):
    mask = inputs["attention_mask"].bool()
    mask[:, ::2] = False
    return {"start_logits": outputs.end_logits, "end_logits": outputs.start_logits, "mask": mask,
            "hidden_states": [outputs.start_logits[..., None] * layer for layer in range(4)]}

def other(outputs): ...
"""


def bert():
    torch.manual_seed(0)
    return BertForQuestionAnswering(BertConfig(**SMALL)).eval()


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "modules", {**sys.modules})
    (tmp_path / "mine.py").write_text(OWN)


def seen_in(model, batch, **layers):
    inputs, question, passage = batch
    with torch.no_grad(), observe(model, **layers) as seen:
        outputs = read(model, inputs, question, passage, attention_layer=1)
    return outputs, seen


def test_a_map_to_what_is_known_anyway_changes_nothing(pair_batch):
    plain, mapped = bert(), bert()
    give_map(mapped, BERT)
    mapped.config.model_type = "unheard of"
    batch = pair_batch()
    expected, known = seen_in(plain, batch, hidden=[0, 2, 3], attention=[2])
    found, seen = seen_in(mapped, batch, hidden=[0, 2, 3], attention=[2])
    for name in ("start_logits", "end_logits", "passage_mask", "qa_attention"):
        assert torch.equal(getattr(found, name), getattr(expected, name))
    for layer in (0, 2, 3):
        assert torch.equal(seen.hidden[layer], known.hidden[layer])
    for one, other in zip(seen.projections(2), known.projections(2), strict=True):
        assert torch.equal(one, other)
    assert not [module for module in mapped.modules() if module._forward_hooks]


def test_hidden_states_of_an_unknown_family(pair_batch):
    torch.manual_seed(0)
    model = MPNetForQuestionAnswering(MPNetConfig(**SMALL)).eval()
    inputs, _, _ = pair_batch()
    with torch.no_grad():
        full = run(model, {**inputs, "output_hidden_states": True}).hidden_states
        give_map(model, {"hidden_states": ["mpnet.embeddings", "mpnet.encoder.layer.*"]})
        with observe(model, hidden=[0, 1, 3]) as seen:
            run(model, inputs)
    for layer, states in seen.hidden.items():
        assert torch.equal(states, full[layer])


def test_the_map_is_saved_with_the_model(tmp_path, pair_batch):
    model = bert()
    give_map(model, {"start_logits": "end_logits", "mask": "bert.embeddings[..., 0]"})
    model.save_pretrained(tmp_path)
    loaded = AutoModelForQuestionAnswering.from_pretrained(tmp_path)
    assert loaded.config.output_map == model.config.output_map
    inputs, question, passage = pair_batch()
    with torch.no_grad():
        found, plain = read(loaded, inputs, question, passage), read(bert(), inputs, question, passage)
    assert torch.equal(found.start_logits, plain.end_logits)


def test_a_function_of_ones_own(own, pair_batch, monkeypatch):
    assert list(map_problems("mine:adaptor")) == []
    model = bert()
    give_map(model, "mine:adaptor")
    assert list(model.config.output_map["code"]) == ["mine"]
    inputs, question, passage = pair_batch()
    with torch.no_grad(), observe(model, hidden=[2]) as seen:
        found = read(model, inputs, question, passage)
    plain = read(bert(), inputs, question, passage)
    places = passage[:, :1] + torch.arange(found.passage_mask.shape[1])
    assert torch.equal(found.passage_mask, plain.passage_mask & (places % 2 == 1))
    kept = found.passage_mask
    assert torch.equal(found.start_logits[kept], plain.end_logits[kept])
    assert seen.hidden[2].shape == (*inputs["input_ids"].shape, 1)
    monkeypatch.delitem(sys.modules, "mine")
    with pytest.raises(ModelError, match="expected params that name it, or its module imported before"):
        read(model, inputs, question, passage)


def test_a_student_is_built_with_its_map(tokenizer_folder):
    shape = {**SMALL, "max_length": 32, "outputs": {"start_logits": "end_logits"}}
    del shape["vocab_size"]
    model = build("bert", tokenizer_folder, shape, seed=1)
    assert model.config.output_map == {"start_logits": "end_logits"}


@pytest.mark.parametrize(
    ("outputs", "problem"),
    [
        ({"start_logit": "x"}, "unknown output 'start_logit'; did you mean 'start_logits'"),
        ({"start_logits": "x[1"}, "start_logits: expected an output or a module, such as .*; got 'x[1'"),
        ({"start_logits": 3}, "start_logits: .*got 3"),
        ({"hidden_states": [3]}, "hidden_states: expected modules, such as"),
        ({"queries": "a.*"}, "queries, keys: expected both or neither"),
        ({}, "expected a mapping such as"),
        ("mine", "expected a mapping or module:attribute; got 'mine'"),
        ("mine:adapter", "got no 'adapter'; did you mean 'adaptor'"),
        ("mine:other", "must take by position outputs, inputs"),
    ],
)
def test_one_problem_one_sentence(own, outputs, problem):
    (found,) = map_problems(outputs)
    assert re.search(problem.replace("[", r"\["), found)


@pytest.mark.parametrize(
    ("outputs", "problem"),
    [
        (
            {"hidden_states": "bert.encoder.layer.*"},
            "got 3 modules as hidden_states where",
        ),
        ({"hidden_states": ["bert.embedings", "bert.encoder.layer.*"]}, "no 'bert.embedings'; did you mean"),
        ({"start_logits": "bert.heads"}, "no module 'bert.heads'"),
    ],
)
def test_a_map_that_does_not_fit_the_model(outputs, problem):
    with pytest.raises(ModelError, match=re.escape(problem)):
        give_map(bert(), outputs)


def test_an_output_that_is_not_there_is_named(pair_batch):
    model = bert()
    give_map(model, {"start_logits": "start_logit"})
    inputs, question, passage = pair_batch()
    with pytest.raises(ModelError, match=r"expected an output of the model, or a module .*'start_logits'"):
        read(model, inputs, question, passage)
