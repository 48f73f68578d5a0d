import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pipeline.errors import ModelError
from pipeline.models import rmr
from pipeline.models.masking import OFF_PASSAGE
from pipeline.models.reading import read
from pipeline.models.rmr import RMRConfig, RMRForQuestionAnswering
from pipeline.schema import Answer
from pipeline.tasks.answers import gold_span
from pipeline.tasks.span import find_spans
from pipeline.text.tokenizers import Encoder

SHAPE = {
    "hidden_size": 6,
    "num_aligning_layers": 3,
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
    return rmr.build(reader_folder, **SHAPE).eval()


def encode(folder, pairs=PAIRS):
    questions, texts = zip(*pairs, strict=True)
    rows = Encoder.open(folder).encode(questions, texts, max_length=64, max_question_tokens=16)
    length = max(len(row.input_ids) for row in rows)

    def padded(values):
        return np.pad(values.astype(np.int64), [(0, length - len(values)), (0, 0)][: values.ndim])

    inputs = {
        "input_ids": [padded(row.input_ids) for row in rows],
        "token_type_ids": [padded(row.token_type_ids) for row in rows],
        "attention_mask": [padded(np.ones(len(row.input_ids))) for row in rows],
    }
    if rows[0].character_ids is not None:
        inputs["character_ids"] = [padded(row.character_ids) for row in rows]
    tensors = {name: torch.from_numpy(np.stack(values)) for name, values in inputs.items()}
    return tensors, torch.tensor([row.question for row in rows]), torch.tensor([row.passage for row in rows])


def test_defaults_have_as_many_parameters_as_the_papers():
    """6.9 million; word vectors are fixed, and beside them."""
    config = RMRConfig(vocab_size=4, num_characters=100)
    with torch.device("meta"):
        model = RMRForQuestionAnswering(config)
    own = sum(weight.numel() for name, weight in model.named_parameters() if name != "embedding.words.weight")
    assert own == pytest.approx(6.9e6, rel=0.03)
    assert config.num_aligning_layers == 3


def test_a_bilstm_reads_each_row_as_if_alone():
    torch.manual_seed(0)
    module = rmr.BiLSTM(5, 3, 0.0)
    lengths = [7, 2, 0]
    states, mask = torch.randn(3, 7, 5), torch.arange(7) < torch.tensor(lengths)[:, None]
    with torch.no_grad():
        got = module(states, mask)
        for row, length in enumerate(lengths):
            if length:
                alone = module.lstm(states[row : row + 1, :length])[0]
                torch.testing.assert_close(got[row : row + 1, :length], alone)
            assert got[row, length:].abs().sum() == 0


def test_fusion_is_the_papers_gate():
    torch.manual_seed(0)
    module = rmr.SemanticFusion(3, 0.0)
    x, y = torch.randn(2, 3), torch.randn(2, 3)
    weight, bias = module.change_and_gate.weight, module.change_and_gate.bias
    with torch.no_grad():
        features = torch.cat([x, y, x * y, x - y], 1)
        change = torch.tanh(features @ weight[:3].T + bias[:3])
        gate = torch.sigmoid(features @ weight[3:].T + bias[3:])
        torch.testing.assert_close(module(x, y), gate * change + (1 - gate) * x)


def test_a_layer_looks_at_past_attention_again():
    """Sums written out over words, for one row: E and B of a layer that has a past."""
    torch.manual_seed(0)
    layer = rmr.AligningLayer(RMRConfig(hidden_size=2, dropout=0.0), is_first=False)
    nn.init.uniform_(layer.past_weight)
    passage, question = torch.randn(1, 4, 4), torch.randn(1, 2, 4)
    past = torch.randn(1, 4, 2), torch.randn(1, 4, 4)
    masks = torch.ones(1, 4, dtype=torch.bool), torch.ones(1, 2, dtype=torch.bool)
    with torch.no_grad():
        fused, across, within = layer(passage, question, *masks, past)
        p, q = F.relu(layer.across(passage[0])), F.relu(layer.across(question[0]))
        over_passage = past[0][0].softmax(0)
        own = past[1][0].masked_fill(torch.eye(4, dtype=torch.bool), -torch.inf).softmax(1)
        for j in range(4):
            for i in range(2):
                memory = sum(own[j, k] * over_passage[k, i] for k in range(4))
                expected = p[j] @ q[i] / 2 + layer.past_weight[0] * memory
                torch.testing.assert_close(across[0, j, i], expected)
        h = layer.fuse_question(passage, across.softmax(2) @ question)
        projected = F.relu(layer.within(h[0]))
        for j in range(4):
            for i in range(4):
                memory = sum(own[i, k] * own[j, k] for k in range(4))
                expected = projected[j] @ projected[i] / 2 + layer.past_weight[1] * memory
                torch.testing.assert_close(within[0, j, i], expected)
        others = within.masked_fill(torch.eye(4, dtype=torch.bool), -torch.inf).softmax(2)
        torch.testing.assert_close(fused, layer.fuse_passage(h, others @ h))


def test_words_of_both_texts_are_marked(model, reader_folder):
    pairs = [("who wrote Zanzibar of Quebec?", "the man of zanzibar wrote Zanzibar and Quebecs")]
    inputs, _, _ = encode(reader_folder, pairs)
    seen = []
    model.encoder.register_forward_hook(lambda module, given, output: seen.append(given[0][0, :, -1]))
    model(**inputs)
    # An unknown word is itself only where it is spelt alike.
    assert [marks.bool().tolist() for marks in seen] == [
        [False, True, True, True, False, False],
        [False, False, True, False, True, True, False, False],
    ]


def test_end_logits_are_a_row_for_each_start(model, reader_folder):
    inputs, question, passage = encode(reader_folder)
    with torch.no_grad():
        own = read(model, inputs, question, passage, num_starts=4)
        lengths = (passage[:, 1] - passage[:, 0]).tolist()
        assert own.best_starts.shape == (3, 4)
        order = own.start_logits.sort(dim=1, descending=True, stable=True).indices
        for row, length in enumerate(lengths):
            found = min(4, length)
            assert own.best_starts[row].tolist() == order[row, :found].tolist() + [-1] * (4 - found)
        torch.testing.assert_close(own.end_logits, own.best_end_logits[:, 0], rtol=0, atol=0)
        for place in range(4):
            starts = own.best_starts[:, place]
            forced = read(model, inputs, question, passage, starts=starts)
            torch.testing.assert_close(forced.start_logits, own.start_logits, rtol=0, atol=0)
            expected = torch.where(
                (starts >= 0)[:, None], own.best_end_logits[:, place], own.best_end_logits[:, 0]
            )
            torch.testing.assert_close(forced.end_logits, expected, rtol=0, atol=0)
    assert (own.best_end_logits[0, 0] - own.best_end_logits[0, 1]).abs().max() > 1e-4
    assert (own.best_end_logits[~own.passage_mask[:, None].expand(-1, 4, -1)] == OFF_PASSAGE).all()


def test_more_starts_move_no_number(model, reader_folder):
    batch = encode(reader_folder)
    with torch.no_grad():
        few, many = read(model, *batch, num_starts=2), read(model, *batch, num_starts=7)
    assert torch.equal(few.best_starts, many.best_starts[:, :2])
    assert torch.equal(few.best_end_logits, many.best_end_logits[:, :2])


def test_a_start_from_outside_moves_no_end_of_its_own(model, reader_folder):
    batch = encode(reader_folder)
    with torch.no_grad():
        own = read(model, *batch)
        forced = read(model, *batch, starts=torch.tensor([3, 0, 5]), num_starts=1)
    assert torch.equal(forced.own_end_logits, own.own_end_logits)
    assert not torch.equal(forced.end_logits, own.end_logits)


def test_attention_is_the_similarity_over_the_question(model, reader_folder):
    inputs, question, passage = encode(reader_folder)
    with torch.no_grad():
        outputs = read(model, inputs, question, passage, attention_layer=-2)
        similarity = model(**inputs).similarity
    for row in range(len(PAIRS)):
        p, q = passage[row, 1] - passage[row, 0], question[row, 1] - question[row, 0]
        torch.testing.assert_close(outputs.qa_attention[row, :p, :q], similarity[row, :p, :q].softmax(-1))


def test_a_row_without_a_passage_or_question_leaves_the_others_alone(model, reader_folder):
    inputs, _, _ = encode(reader_folder)
    with torch.no_grad():
        before = model(**inputs, num_starts=2)
        inputs["attention_mask"][1] = 0
        after = model(**inputs, num_starts=2)
    assert after.start_logits.isfinite().all()
    assert after.best_end_logits.isfinite().all()
    assert after.best_starts[1].tolist() == [-1, -1]
    torch.testing.assert_close(after.start_logits[0], before.start_logits[0])
    torch.testing.assert_close(after.end_logits[2], before.end_logits[2])


def test_loss_is_that_of_the_end_given_the_start(model, reader_folder):
    inputs, question, passage = encode(reader_folder)
    starts, ends = passage[:, 0] + torch.tensor([2, 0, 1]), passage[:, 1] - 1
    with torch.no_grad():
        loss = model(**inputs, start_positions=starts, end_positions=ends).loss
        outputs = read(model, inputs, question, passage, starts=starts - passage[:, 0])
    expected = F.cross_entropy(outputs.start_logits, starts - passage[:, 0])
    expected = expected + F.cross_entropy(outputs.end_logits, ends - passage[:, 0])
    torch.testing.assert_close(loss, expected / 2)


def test_autocast_gives_finite_float32(model, reader_folder):
    model.train()
    with torch.autocast("cpu", torch.bfloat16):
        outputs = read(model, *encode(reader_folder), attention_layer=-1, num_starts=2)
    loss = outputs.start_logits[outputs.passage_mask].square().sum() + outputs.qa_attention.square().sum()
    (loss + outputs.end_logits[outputs.passage_mask].square().sum()).backward()
    assert outputs.start_logits.dtype == outputs.end_logits.dtype == torch.float32
    assert outputs.best_end_logits.dtype == torch.float32
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_gradients_are_the_same_each_time(reader_folder):
    inputs, _, passage = encode(reader_folder, PAIRS * 10)
    gradients = []
    for _ in range(2):
        model = rmr.build(reader_folder, **SHAPE).train()
        torch.manual_seed(0)
        model(**inputs, start_positions=passage[:, 0], end_positions=passage[:, 0]).loss.backward()
        gradients.append([weight.grad for weight in model.parameters() if weight.requires_grad])
    assert all(torch.equal(first, second) for first, second in zip(*gradients, strict=True))


def test_without_characters_and_with_one_layer(plain_reader_folder):
    model = rmr.build(plain_reader_folder, **{**SHAPE, "num_aligning_layers": 1}).eval()
    assert model.embedding.characters is None
    inputs, _, _ = encode(plain_reader_folder)
    assert model(**inputs).end_logits.isfinite().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_size": 0}, "hidden_size 0"),
        ({"num_aligning_layers": 0}, "num_aligning_layers 0"),
        ({"character_kernel_size": 17}, "character_kernel_size 17, beyond 16"),
        ({"dropout": 1.0}, "dropout 1.0"),
        ({"word_size": 5}, "13 vectors of 5 numbers; got 13 of 6"),
    ],
)
def test_sizes_that_do_not_fit(options, message, reader_folder):
    with pytest.raises(ModelError, match=message):
        rmr.build(reader_folder, **{**SHAPE, **options})


def test_a_few_rows_are_learnt_by_heart(reader_folder):
    """The answer's end depends on its start: two questions of one text, and one word that ends both."""
    text = "old man wrote a red ship and the old sea wrote of a man"
    pairs = [("who wrote a ship?", text), ("of the sea", text), ("a man who?", text), ("red ship", text)]
    answers = [(0, 2), (8, 9), (13, 13), (3, 5)]
    words = text.split()
    inputs, question, passage = encode(reader_folder, pairs)
    rows = Encoder.open(reader_folder).encode(*zip(*pairs, strict=True), max_length=64, max_question_tokens=9)
    gold = []
    for (first, last), row in zip(answers, rows, strict=True):
        answer = Answer(" ".join(words[first : last + 1]), len(" ".join([*words[:first], ""])))
        gold.append(gold_span([answer], row.passage_offsets))
    assert gold == answers
    gold = torch.tensor(gold)
    model = rmr.build(reader_folder, **{**SHAPE, "hidden_size": 16}, dropout=0.0, character_dropout=0.0)
    model.train()
    optimizer = torch.optim.Adam([weight for weight in model.parameters() if weight.requires_grad], lr=5e-3)
    for _ in range(60):
        outputs = read(model, inputs, question, passage, starts=gold[:, 0])
        loss = F.cross_entropy(outputs.start_logits, gold[:, 0])
        loss = loss + F.cross_entropy(outputs.end_logits, gold[:, 1])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        best = find_spans(read(model, inputs, question, passage, num_starts=3))
    assert torch.equal(torch.cat([best.starts, best.ends], 1), gold)
