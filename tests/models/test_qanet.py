import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

from pipeline.errors import ModelError
from pipeline.models import qanet
from pipeline.models.masking import OFF_PASSAGE
from pipeline.models.qanet import QANetConfig, QANetForQuestionAnswering
from pipeline.models.reading import read
from pipeline.models.words import CharacterEmbedding
from pipeline.text.tokenizers import Encoder

SHAPE = {
    "d_model": 8,
    "num_heads": 2,
    "num_blocks": 2,
    "num_passes": 3,
    "character_size": 5,
    "character_filters": 4,
    "character_kernel_size": 3,
}
PAIRS = [
    ("who wrote of the sea?", "the old man wrote of a red ship. the man?"),
    ("who?", "Santiago"),
    ("a ship of Sartorius the old", "a man of the sea Ship who wrote"),
]


@pytest.fixture
def model(reader_folder):
    return qanet.build(reader_folder, **SHAPE).eval()


def encode(folder, pairs=PAIRS):
    """A batch as the training stream makes it, from the encoder."""
    questions, texts = zip(*pairs, strict=True)
    rows = Encoder.open(folder).encode(questions, texts, max_length=64, max_question_tokens=16)
    length = max(len(row.input_ids) for row in rows)
    inputs = {
        "input_ids": np.stack([np.pad(row.input_ids, (0, length - len(row.input_ids))) for row in rows]),
        "token_type_ids": np.stack(
            [np.pad(row.token_type_ids, (0, length - len(row.input_ids))) for row in rows]
        ),
        "attention_mask": np.stack([np.arange(length) < len(row.input_ids) for row in rows]),
    }
    if rows[0].character_ids is not None:
        inputs["character_ids"] = np.stack(
            [np.pad(row.character_ids, ((0, length - len(row.input_ids)), (0, 0))) for row in rows]
        )
    tensors = {name: torch.from_numpy(values.astype(np.int64)) for name, values in inputs.items()}
    return tensors, torch.tensor([row.question for row in rows]), torch.tensor([row.passage for row in rows])


def test_defaults_are_the_papers(tmp_path, reader_folder):
    model = qanet.build(reader_folder)
    config = model.config
    assert (config.d_model, config.num_heads, config.num_convs, config.kernel_size) == (128, 8, 4, 7)
    assert (config.num_blocks, config.num_block_convs, config.block_kernel_size, config.num_passes) == (
        7,
        2,
        5,
        3,
    )
    assert (config.character_size, config.dropout, config.character_dropout, config.survival) == (
        200,
        0.1,
        0.05,
        0.9,
    )
    assert len(model.embedding_encoder.blocks) == 1
    survivals = [value for block in model.model_encoder.blocks for value in block.survivals]
    assert len(survivals) == 7 * 4
    assert survivals[-1] == pytest.approx(0.9)
    np.testing.assert_allclose(np.diff(survivals), -0.1 / 28, atol=1e-12)


def test_words_are_the_given_vectors_and_do_not_train(model, reader_folder):
    vectors = load_file(reader_folder / "vectors.safetensors")["embeddings"]
    assert torch.equal(model.embedding.words.weight, vectors)
    assert not model.embedding.words.weight.requires_grad
    assert model.embedding.unknown.requires_grad


def test_similarity_is_the_papers_trilinear_function():
    """Yu et al.: f(q, c) = W0 [q, c, q * c], softmax by row for A and by column too for B."""
    torch.manual_seed(0)
    attention = qanet.ContextQueryAttention(4)
    nn.init.normal_(attention.weight)
    passage, question = torch.randn(1, 3, 4), torch.randn(1, 2, 4)
    everything = torch.ones(1, 3, dtype=torch.bool), torch.ones(1, 2, dtype=torch.bool)
    with torch.no_grad():
        features, similarity = attention(passage, question, *everything)
        w_c, w_q, w_m = attention.weight
        expected = torch.tensor(
            [[float(w_q @ q + w_c @ c + w_m @ (q * c)) for q in question[0]] for c in passage[0]]
        )
        torch.testing.assert_close(similarity[0], expected)
        rows, columns = expected.softmax(1), expected.softmax(0)
        a, b = rows @ question[0], rows @ columns.T @ passage[0]
        c = passage[0]
        torch.testing.assert_close(features[0], torch.cat([c, a, c * a, c * b], 1))


def test_characters_equal_a_convolution_and_a_maximum():
    config = QANetConfig(num_characters=20, character_size=5, character_filters=4, character_kernel_size=3)
    torch.manual_seed(0)
    module = CharacterEmbedding(config).eval()
    nn.init.normal_(module.bias)
    ids = torch.randint(0, 20, (21, 16))
    with torch.no_grad():
        weight = torch.stack([place.weight for place in module.kernel], 2)
        vectors = module.characters.weight[ids].transpose(1, 2)
        torch.testing.assert_close(module(ids), F.conv1d(vectors, weight, module.bias).amax(2).relu())


def test_words_are_embedded_once_but_all_of_them(model):
    """Words differ by id or by spelling, to the last character."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 13, (4, 9), generator=generator)
    spelt = torch.randint(0, 30, (4, 9, 16), generator=generator)
    spelt[1:3] = spelt[0]
    spelt[2, :, 15] = 1
    ids[3] = 1
    seen = []
    model.embedding.highways[0].register_forward_hook(lambda module, given, output: seen.append(len(output)))
    with torch.no_grad():
        got = model.embedding(ids, spelt)
        each = model.embedding._embedded(ids.flatten(), spelt.flatten(0, 1)).view_as(got)
    torch.testing.assert_close(got, each)
    words = {
        (int(word), *spelling)
        for word, spelling in zip(ids.flatten(), spelt.flatten(0, 1).tolist(), strict=True)
    }
    assert seen == [len(words), 36]


def test_convolution_equals_the_one_dimensional_one():
    torch.manual_seed(0)
    module = qanet.Convolution(6, 5)
    states, mask = torch.randn(2, 9, 6), torch.arange(9) < torch.tensor([[9], [4]])
    with torch.no_grad():
        zeroed = (states * mask[..., None]).transpose(1, 2)
        depthwise = F.conv1d(zeroed, module.depthwise.weight[:, :, 0], padding=2, groups=6)
        torch.testing.assert_close(module(states, mask), module.pointwise(depthwise.transpose(1, 2)).relu())


def test_logits_off_the_passage_never_win(model, reader_folder):
    inputs, _, passage = encode(reader_folder)
    outputs = model(**inputs)
    for logits in (outputs.start_logits, outputs.end_logits):
        assert logits.isfinite().all()
        for row, (start, end) in enumerate(passage.tolist()):
            assert (logits[row, start:end] > OFF_PASSAGE / 2).all()
            assert (logits[row, :start] == OFF_PASSAGE).all()
            assert (logits[row, end:] == OFF_PASSAGE).all()


def test_attention_is_the_similarity_over_the_question(model, reader_folder):
    inputs, question, passage = encode(reader_folder)
    with torch.no_grad():
        outputs = read(model, inputs, question, passage, attention_layer=-2)
        similarity = model(**inputs).similarity
    assert outputs.qa_attention.shape == similarity.shape
    for row in range(len(PAIRS)):
        p, q = passage[row, 1] - passage[row, 0], question[row, 1] - question[row, 0]
        torch.testing.assert_close(outputs.qa_attention[row, :p, :q], similarity[row, :p, :q].softmax(-1))
        assert outputs.qa_attention[row, p:].abs().sum() == outputs.qa_attention[row, :, q:].abs().sum() == 0


def test_attention_of_special_tokens_is_refused(model, reader_folder):
    inputs, question, passage = encode(reader_folder)
    after_cls = question + torch.tensor([1, 0])  # as if the first token were none of the question
    with pytest.raises(ModelError, match="special tokens are read among them; give this model a tokenizer"):
        read(model, inputs, after_cls, passage, attention_layer=-1)


def test_a_row_without_a_passage_or_question_leaves_the_others_alone(model, reader_folder):
    inputs, _, _ = encode(reader_folder)
    with torch.no_grad():
        before = model(**inputs)
        inputs["attention_mask"][1] = 0
        after = model(**inputs)
    assert after.start_logits.isfinite().all()
    torch.testing.assert_close(after.start_logits[0], before.start_logits[0])
    torch.testing.assert_close(after.start_logits[2], before.start_logits[2])


def test_loss_is_the_mean_of_start_and_end(model, reader_folder):
    inputs, _, passage = encode(reader_folder)
    starts, ends = passage[:, 0], torch.stack([passage[0, 1] - 1, torch.tensor(-1), torch.tensor(99)])
    with torch.no_grad():
        outputs = model(**inputs, start_positions=starts, end_positions=ends)
        start = F.cross_entropy(outputs.start_logits, starts)
        end = F.cross_entropy(outputs.end_logits[:1], ends[:1])
        nothing = torch.full_like(starts, -1)
        empty = model(**inputs, start_positions=nothing, end_positions=nothing).loss
    torch.testing.assert_close(outputs.loss, (start + end) / 2)
    assert empty == 0


def test_autocast_gives_finite_float32(model, reader_folder):
    inputs, question, passage = encode(reader_folder)
    model.train()
    with torch.autocast("cpu", torch.bfloat16):
        outputs = read(model, inputs, question, passage, attention_layer=-1)
    loss = outputs.start_logits[outputs.passage_mask].square().sum() + outputs.qa_attention.square().sum()
    loss.backward()
    assert outputs.start_logits.dtype == outputs.qa_attention.dtype == torch.float32
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("num_passes", [1, 2])
def test_fewer_passes(num_passes, reader_folder):
    model = qanet.build(reader_folder, **{**SHAPE, "num_passes": num_passes}).eval()
    assert model(**encode(reader_folder)[0]).start_logits.isfinite().all()


def test_without_characters(plain_reader_folder):
    model = qanet.build(plain_reader_folder, **SHAPE).eval()
    assert model.embedding.characters is None
    inputs, _, _ = encode(plain_reader_folder)
    assert "character_ids" not in inputs
    assert model(**inputs).end_logits.isfinite().all()


def test_characters_that_are_missing(model, reader_folder):
    inputs, _, _ = encode(reader_folder)
    del inputs["character_ids"]
    with pytest.raises(ValueError, match="it needs character_ids"):
        model(**inputs)


def test_trainable_words_need_no_vectors(reader_folder, tmp_path):
    (tmp_path / "tokenizer.json").write_text((reader_folder / "tokenizer.json").read_text())
    model = qanet.build(tmp_path, **SHAPE, trainable_words=True, word_size=7)
    assert model.embedding.words.weight.shape == (13, 7)
    assert model.embedding.words.weight.requires_grad
    with pytest.raises(ModelError, match="word vectors, since they are not to be trained; got no such file"):
        qanet.build(tmp_path, **SHAPE)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel_size": 4}, "kernel_size 4, which is not odd"),
        ({"d_model": 9, "num_heads": 3}, "d_model 9 with num_heads 3"),
        ({"d_model": 8, "num_heads": 3}, "d_model 8 with num_heads 3"),
        ({"num_passes": 0}, "num_passes 0"),
        ({"d_model": 0}, "d_model 0"),
        ({"character_kernel_size": 17}, "character_kernel_size 17, beyond 16"),
        ({"dropout": 1.0, "survival": 0.0}, "dropout 1.0; survival 0.0"),
        ({"word_size": 5}, "13 vectors of 5 numbers; got 13 of 6"),
    ],
)
def test_sizes_that_do_not_fit(options, message, reader_folder):
    with pytest.raises(ModelError, match=message):
        qanet.build(reader_folder, **{**SHAPE, **options})


def test_gradients_are_the_same_each_time(reader_folder):
    """Whatever threads do: a run that is killed and resumed must come to the same weights."""
    inputs, _, passage = encode(reader_folder, PAIRS * 40)
    gradients = []
    for _ in range(2):
        model = qanet.build(reader_folder, **SHAPE).train()
        torch.manual_seed(0)
        model(**inputs, start_positions=passage[:, 0], end_positions=passage[:, 0]).loss.backward()
        gradients.append([weight.grad for weight in model.parameters() if weight.requires_grad])
    assert all(torch.equal(first, second) for first, second in zip(*gradients, strict=True))


def test_stochastic_depth_keeps_the_mean(reader_folder):
    block = qanet.build(reader_folder, **SHAPE).model_encoder.blocks[-1].train()
    torch.manual_seed(0)
    states = torch.zeros(40_000, 1, 1)
    added = block._add(states, torch.ones_like(states), 0.9)
    assert added.mean() == pytest.approx(1.0, abs=0.01)
    assert added.unique().tolist() == pytest.approx([0, 1 / 0.9])
    assert torch.equal(block.eval()._add(states, states + 2, 0.9), states + 2)


FRESH = """
import sys
import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer
import pipeline.models

folder = sys.argv[1]
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForQuestionAnswering.from_pretrained(folder)
inputs = tokenizer(["who?", "who?"], ["Zanzibar", "Quebec"], return_tensors="pt")
assert inputs["input_ids"][0].tolist() == inputs["input_ids"][1].tolist()
first, second = model.embedding(inputs["input_ids"], inputs["character_ids"])[:, -1]
print(type(tokenizer).__name__, type(model).__name__, model.embedding.words.weight.requires_grad)
print((first - second).abs().max().item())
torch.save(model(**inputs).start_logits.detach(), sys.argv[2])
"""


def test_unknown_words_differ_in_a_fresh_process(model, reader_folder, tmp_path):
    model.save_pretrained(tmp_path / "student")
    tokenizer = AutoTokenizer.from_pretrained(reader_folder)
    tokenizer.save_pretrained(tmp_path / "student")
    run = subprocess.run(
        [sys.executable, "-c", FRESH, tmp_path / "student", tmp_path / "logits.pt"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    names, difference = run.stdout.strip().splitlines()
    assert names == "QANetTokenizer QANetForQuestionAnswering False"
    assert float(difference) > 1e-3
    inputs = tokenizer(["who?", "who?"], ["Zanzibar", "Quebec"], return_tensors="pt")
    with torch.no_grad():
        here = model(**inputs).start_logits
    torch.testing.assert_close(
        torch.load(tmp_path / "logits.pt", weights_only=True), here, atol=1e-6, rtol=1e-5
    )


def test_auto_model_restores_all_weights(model, tmp_path):
    model.save_pretrained(tmp_path)
    loaded, report = AutoModelForQuestionAnswering.from_pretrained(tmp_path, output_loading_info=True)
    assert isinstance(loaded, QANetForQuestionAnswering)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    for name, values in model.state_dict().items():
        assert torch.equal(values, loaded.state_dict()[name]), name
