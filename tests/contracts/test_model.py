"""What holds of every architecture in the table, with each head that it can have."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForQuestionAnswering

from pipeline.errors import ModelError
from pipeline.models import ARCHITECTURES, HEADS, build, takes_head
from pipeline.models.head import AUTO_CLASSES, Head
from pipeline.models.masking import OFF_PASSAGE
from pipeline.models.multi_head import ROWS, SPANS, TOKENS
from pipeline.models.reading import read
from pipeline.text.characters import Alphabet
from pipeline.text.tokenizers import Encoder

# The smallest sizes at which every part is there. A new architecture adds its line.
OPTIONS = {
    "bert": {
        "num_hidden_layers": 2,
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_attention_heads": 2,
        "max_length": 64,
    },
    "bigru": {"word_size": 6, "gru_size": 4, "max_length": 64},
    "bilstm": {"word_size": 6, "lstm_size": 4, "sentence_size": 5, "classifier_size": 4, "pairs": True},
    "electra": {
        "num_hidden_layers": 2,
        "hidden_size": 8,
        "embedding_size": 4,
        "intermediate_size": 8,
        "num_attention_heads": 2,
        "max_length": 64,
    },
    "qanet": {"d_model": 8, "num_heads": 2, "num_blocks": 2, "character_size": 4, "character_filters": 4},
    "rmr": {"hidden_size": 4, "num_aligning_layers": 2, "character_size": 4, "character_filters": 4},
}
SPAN_READERS = [name for name in sorted(OPTIONS) if SPANS in HEADS.get(name, {SPANS})]
OTHER_HEADS = [
    (name, kind)
    for name in sorted(OPTIONS)
    for kind in (ROWS, TOKENS)
    if takes_head(name) and kind in HEADS.get(name, {kind})
]
PAIRS = [
    ("who wrote the book ?", "an old sailor wrote of the sea , of ships and of Hemingway himself"),
    ("where ?", "Paris"),
    ("what did Nemo build ?", "a ship that dives , with Verne ' s help and much of the old iron"),
    ("who ?", "the sea and the ships"),
]
KNOWN = "who wrote the book ? an old sailor of sea , and ships where what did a ship that"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer")
    words = dict.fromkeys(["[PAD]", "[UNK]", "[SEP]", *KNOWN.split()])
    tokenizer = Tokenizer(WordLevel({word: place for place, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="$A", pair="$A:0 [SEP]:0 $B:1", special_tokens=[("[SEP]", 2)]
    )
    tokenizer.save(str(path / "tokenizer.json"))
    Alphabet(tuple("abcdefghijklmnopqrstuvwxyz")).save(path)
    vectors = torch.randn(len(words), 6, generator=torch.Generator().manual_seed(0))
    save_file({"embeddings": vectors}, path / "vectors.safetensors")
    return path


@pytest.fixture(params=SPAN_READERS)
def model(request, folder):
    return build(request.param, folder, OPTIONS[request.param], seed=1).eval()


def batch(folder, model, pairs):
    rows = Encoder.open(folder).encode(*zip(*pairs, strict=True), max_length=64, max_question_tokens=16)
    length = max(len(row.input_ids) for row in rows)

    def padded(values):
        extra = [(0, length - len(values)), (0, 0)][: values.ndim]
        return np.pad(values.astype(np.int64), extra)

    inputs = {
        "input_ids": [padded(row.input_ids) for row in rows],
        "token_type_ids": [padded(row.token_type_ids) for row in rows],
        "attention_mask": [padded(np.ones(len(row.input_ids))) for row in rows],
    }
    if getattr(model.config, "num_characters", 0):
        inputs["character_ids"] = [padded(row.character_ids) for row in rows]
    tensors = {name: torch.from_numpy(np.stack(values)) for name, values in inputs.items()}
    return tensors, torch.tensor([row.question for row in rows]), torch.tensor([row.passage for row in rows])


def test_every_architecture_is_tested():
    assert set(OPTIONS) == set(ARCHITECTURES.names())


def test_a_padded_batch_equals_single_rows(model, folder):
    with torch.no_grad():
        together = read(model, *batch(folder, model, PAIRS), attention_layer=-2)
        for row, pair in enumerate(PAIRS):
            alone = read(model, *batch(folder, model, [pair]), attention_layer=-2)
            width, asked = alone.passage_mask.shape[1], alone.question_mask.shape[1]
            for name in ("start_logits", "end_logits"):
                torch.testing.assert_close(
                    getattr(together, name)[row, :width], getattr(alone, name)[0], atol=1e-5, rtol=1e-4
                )
            torch.testing.assert_close(
                together.qa_attention[row, :width, :asked], alone.qa_attention[0], atol=1e-5, rtol=1e-4
            )


def test_what_padding_holds_makes_no_difference(model, folder):
    inputs, question, passage = batch(folder, model, PAIRS)
    padding = inputs["attention_mask"] == 0
    with torch.no_grad():
        before = read(model, inputs, question, passage, attention_layer=-2)
        changed = {**inputs, "input_ids": inputs["input_ids"].masked_fill(padding, 5)}
        if "character_ids" in inputs:
            changed["character_ids"] = inputs["character_ids"].masked_fill(padding[..., None], 7)
        after = read(model, changed, question, passage, attention_layer=-2)
    torch.testing.assert_close(after.start_logits, before.start_logits)
    torch.testing.assert_close(after.qa_attention, before.qa_attention)


def test_masks_and_padding_of_what_is_read(model, folder):
    inputs, question, passage = batch(folder, model, PAIRS)
    with torch.no_grad():
        outputs = read(model, inputs, question, passage, attention_layer=-2)
    lengths, asked = (passage[:, 1] - passage[:, 0]), (question[:, 1] - question[:, 0])
    assert torch.equal(outputs.passage_mask.sum(1), lengths)
    assert torch.equal(outputs.question_mask.sum(1), asked)
    for logits in (outputs.start_logits, outputs.end_logits):
        assert (logits[~outputs.passage_mask] == OFF_PASSAGE).all()
        assert (logits.argmax(1) < lengths).all()
        assert logits.dtype == torch.float32
    sums = outputs.qa_attention.sum(2)
    torch.testing.assert_close(sums, outputs.passage_mask.float())


def test_equal_seeds_give_equal_weights_and_leave_the_generator_alone(model, folder):
    name = model.config.model_type
    state = torch.random.get_rng_state()
    same, other = (build(name, folder, OPTIONS[name], seed=seed) for seed in (1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    weights = dict(model.named_parameters())
    assert all(torch.equal(values, weights[key]) for key, values in same.named_parameters())
    assert not all(torch.equal(values, weights[key]) for key, values in other.named_parameters())


def test_save_and_load_change_nothing(model, folder, tmp_path):
    model.save_pretrained(tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.suffix in {".bin", ".pt", ".pkl"}]
    loaded = AutoModelForQuestionAnswering.from_pretrained(tmp_path).eval()
    assert type(loaded) is type(model)
    trainable = {name: values.requires_grad for name, values in model.named_parameters()}
    assert {name: values.requires_grad for name, values in loaded.named_parameters()} == trainable
    read_batch = batch(folder, model, PAIRS)
    with torch.no_grad():
        before = read(model, *read_batch, attention_layer=-2)
        after = read(loaded, *read_batch, attention_layer=-2)
    assert all(torch.equal(values, loaded.state_dict()[name]) for name, values in model.state_dict().items())
    # Loaded weights lie elsewhere in memory, and vector units sum in another order from there.
    torch.testing.assert_close(before.start_logits, after.start_logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(before.end_logits, after.end_logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(before.qa_attention, after.qa_attention, atol=1e-5, rtol=1e-5)


def test_gradient_reaches_every_trainable_weight(model, folder):
    model.train()
    outputs = read(model, *batch(folder, model, PAIRS), attention_layer=-2)
    starts = outputs.start_logits.log_softmax(1)[:, 0]
    ends = outputs.end_logits.log_softmax(1)[:, 0]
    (starts.sum() + ends.sum() + outputs.qa_attention.square().sum()).backward()
    unreached = [
        name
        for name, weight in model.named_parameters()
        if weight.requires_grad and (weight.grad is None or not weight.grad.any())
    ]
    # A key's bias moves all scores of a row alike, which a softmax does not see: not exactly 0 by rounding.
    assert not unreached


def test_models_answer_trainer_with_a_loss(model, folder):
    inputs, _, passage = batch(folder, model, PAIRS)
    outputs = model(**inputs, start_positions=passage[:, 0], end_positions=passage[:, 1] - 1)
    assert outputs.loss.isfinite()
    assert outputs.start_logits.shape == inputs["input_ids"].shape


@pytest.fixture(params=OTHER_HEADS, ids="-".join)
def labeller(request, folder):
    name, kind = request.param
    head = Head(kind, ("O", "B-A", "I-A"), "single_label_classification" if kind == ROWS else None)
    return build(name, folder, OPTIONS[name], seed=1, head=head).eval()


def said(model, inputs):
    """Logits of rows, or of the tokens that are no padding, one after another."""
    logits = model(**inputs).logits
    return logits if logits.ndim == 2 else logits[inputs["attention_mask"].bool()]


def test_labels_of_a_padded_batch_are_those_of_single_rows(labeller, folder):
    with torch.no_grad():
        together = said(labeller, batch(folder, labeller, PAIRS)[0])
        alone = torch.cat([said(labeller, batch(folder, labeller, [pair])[0]) for pair in PAIRS])
    assert together.shape[1] == 3
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_labels_owe_nothing_to_what_padding_holds(labeller, folder):
    inputs = batch(folder, labeller, PAIRS)[0]
    padding = inputs["attention_mask"] == 0
    assert padding.any()
    with torch.no_grad():
        changed = said(labeller, {**inputs, "input_ids": inputs["input_ids"].masked_fill(padding, 5)})
        torch.testing.assert_close(changed, said(labeller, inputs))


def test_a_labeller_is_saved_and_loaded_whole(labeller, folder, tmp_path):
    labeller.save_pretrained(tmp_path)
    kind = next(kind for kind in (ROWS, TOKENS) if type(labeller).__name__.endswith(kind))
    loaded = AUTO_CLASSES[kind].from_pretrained(tmp_path).eval()
    assert type(loaded) is type(labeller)
    assert loaded.config.id2label == {0: "O", 1: "B-A", 2: "I-A"}
    inputs = batch(folder, labeller, PAIRS)[0]
    with torch.no_grad():
        torch.testing.assert_close(said(loaded, inputs), said(labeller, inputs), atol=1e-5, rtol=1e-5)


def test_labels_reach_every_weight_that_a_row_needs(labeller, folder):
    labeller.train()
    said(labeller, batch(folder, labeller, PAIRS)[0])[:, 0].sum().backward()
    unreached = {name for name, weight in labeller.named_parameters() if weight.grad is None}
    # What compares two sentences needs no vector of one.
    assert unreached == ({"sentence.weight"} if labeller.config.model_type == "bilstm" else set())


def test_heads_that_an_architecture_cannot_have_are_refused(folder):
    for name, able in HEADS.items():
        head = Head(ROWS, ("no", "yes"), "single_label_classification")
        with pytest.raises(ModelError, match="several heads"):
            build(name, folder, OPTIONS[name], seed=1, head={"a": head, "b": head})
        if SPANS not in able:
            with pytest.raises(ModelError, match="spans"):
                build(name, folder, OPTIONS[name], seed=1)
