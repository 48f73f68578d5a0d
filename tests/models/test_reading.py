import pytest
import torch
from transformers import (
    AlbertConfig,
    AutoModelForQuestionAnswering,
    BertConfig,
    DistilBertConfig,
    ElectraConfig,
    FunnelConfig,
    RobertaConfig,
)

from pipeline.errors import ModelError
from pipeline.models.masking import OFF_PASSAGE
from pipeline.models.reading import read

SMALL = {"vocab_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2, "hidden_size": 8}
CONFIGS = {
    "bert": BertConfig(**SMALL, intermediate_size=16),
    "roberta": RobertaConfig(**SMALL, intermediate_size=16, type_vocab_size=1, pad_token_id=0),
    "electra": ElectraConfig(**SMALL, intermediate_size=16, embedding_size=4),
    "distilbert": DistilBertConfig(vocab_size=64, n_layers=3, n_heads=2, dim=8, hidden_dim=16),
    "albert": AlbertConfig(**SMALL, intermediate_size=16, embedding_size=4),
}


def encoder(name, attention="sdpa"):
    torch.manual_seed(0)
    model = AutoModelForQuestionAnswering.from_config(CONFIGS[name], attn_implementation=attention).eval()
    # Attention far from uniform, so that an error shows.
    for parameter in model.parameters():
        parameter.data.mul_(8)
    return model


def by_hand(maps, question, passage, row):
    """Softmax over all keys, cut to the question and normalised again, is softmax over the question."""
    block = maps[row][:, slice(*passage[row].tolist()), slice(*question[row].tolist())]
    return (block / block.sum(-1, keepdim=True)).mean(0)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("layer", [-2, 0, 2])
def test_attention_equals_that_of_full_maps(name, layer, pair_batch):
    inputs, question, passage = pair_batch()
    with torch.no_grad():
        outputs = read(encoder(name), inputs, question, passage, attention_layer=layer)
        slow = encoder(name, "eager")
        known = {
            key: value for key, value in inputs.items() if key != "token_type_ids" or name not in NO_TYPES
        }
        maps = slow(**known, output_attentions=True).attentions[layer].double()
    assert outputs.qa_attention.dtype == torch.float32
    for row in range(len(question)):
        expected = by_hand(maps, question, passage, row)
        got = outputs.qa_attention[row][outputs.passage_mask[row]][:, outputs.question_mask[row]]
        torch.testing.assert_close(got.double(), expected, atol=1e-5, rtol=1e-4)
    off = ~(outputs.passage_mask[:, :, None] & outputs.question_mask[:, None])
    assert (outputs.qa_attention[off] == 0).all()


NO_TYPES = {"roberta", "distilbert"}


def test_logits_are_those_of_the_model_at_the_passage(pair_batch):
    inputs, question, passage = pair_batch()
    model = encoder("bert")
    with torch.no_grad():
        outputs = read(model, inputs, question, passage)
        plain = model(**inputs)
    assert outputs.qa_attention is None
    assert outputs.passage_mask.sum(1).tolist() == [9, 4, 17]
    assert outputs.question_mask.sum(1).tolist() == [3, 5, 1]
    for row, (start, end) in enumerate(passage.tolist()):
        width = end - start
        torch.testing.assert_close(outputs.start_logits[row, :width], plain.start_logits[row, start:end])
        torch.testing.assert_close(outputs.end_logits[row, :width], plain.end_logits[row, start:end])
        assert (outputs.start_logits[row, width:] == OFF_PASSAGE).all()


def test_numbers_are_float32_under_autocast(pair_batch):
    inputs, question, passage = pair_batch()
    model = encoder("bert")
    with torch.no_grad():
        exact = read(model, inputs, question, passage, attention_layer=-2)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = read(model, inputs, question, passage, attention_layer=-2)
    assert rounded.start_logits.dtype == rounded.qa_attention.dtype == torch.float32
    sums = rounded.qa_attention.sum(-1)[rounded.passage_mask]
    torch.testing.assert_close(sums, torch.ones_like(sums))
    torch.testing.assert_close(rounded.qa_attention, exact.qa_attention, atol=0.2, rtol=0)


def test_gradient_reaches_the_projections_through_the_attention(pair_batch):
    inputs, question, passage = pair_batch()
    model = encoder("bert").train()
    read(model, inputs, question, passage, attention_layer=-2).qa_attention.square().sum().backward()
    attention = model.bert.encoder.layer[1].attention.self
    assert attention.query.weight.grad.abs().sum() > 0
    assert attention.key.weight.grad.abs().sum() > 0


def test_a_wrapped_model_is_read_through_its_wrapper(pair_batch):
    class Wrapper(torch.nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

        def forward(self, **inputs):
            return self.module(**inputs)

    inputs, question, passage = pair_batch()
    model = encoder("bert")
    with torch.no_grad():
        plain = read(model, inputs, question, passage, attention_layer=0)
        wrapped = read(Wrapper(model), inputs, question, passage, attention_layer=0)
    assert torch.equal(plain.qa_attention, wrapped.qa_attention)
    with pytest.raises(TypeError, match="no transformers model"):
        read(torch.nn.Linear(2, 2), inputs, question, passage)


def test_hooks_are_gone_afterwards(pair_batch):
    inputs, question, passage = pair_batch()
    model = encoder("bert")
    read(model, inputs, question, passage, attention_layer=-1)
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("layer", [3, -4])
def test_a_layer_that_is_not_there(layer, pair_batch):
    inputs, question, passage = pair_batch()
    with pytest.raises(ModelError, match=rf"a layer from -3 to 2, the model has 3; got {layer}"):
        read(encoder("bert"), inputs, question, passage, attention_layer=layer)


def test_an_architecture_that_is_not_known(pair_batch):
    inputs, question, passage = pair_batch()
    config = FunnelConfig(
        vocab_size=64, block_sizes=[1, 1], d_model=8, n_head=2, d_head=4, d_inner=16, num_decoder_layers=1
    )
    model = AutoModelForQuestionAnswering.from_config(config)
    with pytest.raises(ModelError, match="'funnel': expected an encoder whose attention can be captured"):
        read(model, inputs, question, passage, attention_layer=-2)
