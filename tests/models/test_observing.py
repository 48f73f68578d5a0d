import pytest
import torch
from transformers import (
    AlbertConfig,
    AlbertModel,
    BertConfig,
    BertForQuestionAnswering,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    MPNetConfig,
    MPNetModel,
)

from pipeline.errors import ModelError
from pipeline.models.observing import BLOCKS, check_layers, check_pooler, observe
from pipeline.models.qanet import QANetConfig, QANetForQuestionAnswering
from pipeline.models.reading import run

SMALL = {
    "vocab_size": 64, "num_hidden_layers": 4, "num_attention_heads": 2, "hidden_size": 8,
    "intermediate_size": 16,
}  # fmt: skip


def models():
    torch.manual_seed(0)
    return {
        "bert": BertModel(BertConfig(**SMALL)),
        "albert": AlbertModel(AlbertConfig(**SMALL, embedding_size=4)),
        "albert in groups": AlbertModel(
            AlbertConfig(**SMALL, embedding_size=4, num_hidden_groups=2, inner_group_num=1)
        ),
        "distilbert": DistilBertModel(
            DistilBertConfig(vocab_size=64, n_layers=4, n_heads=2, dim=8, hidden_dim=16)
        ),
        "another family": MPNetModel(MPNetConfig(**SMALL)),
    }


@pytest.mark.parametrize("name", models())
def test_layers_are_those_that_the_model_returns(name, pair_batch):
    inputs, _, _ = pair_batch()
    model = models()[name].eval()
    assert (model.config.model_type in BLOCKS) == (name != "another family")
    with torch.no_grad():
        with observe(model, hidden=[0, 1, 3, 4]) as seen:
            run(model, inputs)
        # transformers leaves hooks of its own once it was asked for all layers.
        hooks = hooks_of(model)
        full = run_with_all(model, inputs)
    assert sorted(seen.hidden) == [0, 1, 3, 4]
    for layer, states in seen.hidden.items():
        assert torch.equal(states, full[layer])
    assert not hooks or name == "another family"


def hooks_of(model):
    return [
        hook
        for module in model.modules()
        for hooks in (module._forward_hooks, module._forward_pre_hooks)
        for hook in hooks.values()
    ]


def run_with_all(model, inputs):
    known = {name: values for name, values in inputs.items() if name != "token_type_ids"}
    types = getattr(model.config, "type_vocab_size", 0) > 1
    return model(**(inputs if types else known), output_hidden_states=True).hidden_states


def test_every_pass_is_observed_afresh(pair_batch):
    model = models()["albert"].eval()
    for seed in (1, 2):
        inputs, _, _ = pair_batch(seed=seed)
        with torch.no_grad(), observe(model, hidden=[2], attention=[0, 3], pooled=True) as seen:
            output = run(model, inputs)
        assert seen.output is output
        assert torch.equal(seen.pooled, output.pooler_output)
        assert torch.equal(seen.hidden[2], run_with_all(model, inputs)[2])
        # One module runs four times: its queries differ by the order in which it ran.
        assert not torch.equal(seen.projections(0)[0], seen.projections(3)[0])


def test_hooks_are_on_what_is_wanted_alone():
    model = models()["bert"]
    with observe(model, attention=[1]):
        assert not any(block._forward_hooks for block in model.encoder.layer)
    with observe(model, hidden=[1]):
        assert not any(block.attention.self.query._forward_hooks for block in model.encoder.layer)


def test_nothing_is_there_before_the_model_has_run():
    with (
        observe(models()["bert"], attention=[1]) as seen,
        pytest.raises(RuntimeError, match="has not run inside observe"),
    ):
        seen.projections(1)


def test_hooks_are_gone_after_an_error(pair_batch):
    model = models()["another family"].eval()
    with pytest.raises(ModelError, match=r"layers from 0 \(the embedding output\) to 4; got 1, 5"):
        check_layers(model, [5, 1])
    with pytest.raises(KeyError), observe(model, hidden=[1]):
        model(inputs_embeds=torch.zeros(1, 3, 8))
    assert not hooks_of(model)


def test_a_reader_of_its_own_says_what_it_can_give():
    config = QANetConfig(vocab_size=20, word_size=6, d_model=8, num_heads=2, num_blocks=1, num_passes=1)
    model = QANetForQuestionAnswering(config)
    with pytest.raises(ModelError, match="can be cached: span_logits, top_spans, qa_attention"):
        check_layers(model, [0])
    check_layers(model, [])


def test_models_without_a_pooler():
    check_pooler(models()["bert"])
    with pytest.raises(ModelError, match="BertForQuestionAnswering: expected a model with a pooler"):
        check_pooler(BertForQuestionAnswering(BertConfig(**SMALL)))
    with pytest.raises(ModelError, match="pool by first or mean"):
        check_pooler(models()["distilbert"])
