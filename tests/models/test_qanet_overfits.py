"""QANet can learn: it gets 64 rows of real text by heart."""

import json
import math
from collections import Counter

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pipeline.models import qanet
from pipeline.models.reading import read
from pipeline.schema import Answer
from pipeline.tasks.answers import gold_span, span_text
from pipeline.tasks.span import best_spans
from pipeline.text.tokenizers import Encoder
from pipeline.text.vectors import VectorTraining
from pipeline.text.vocabulary import vocabulary

NUM_ROWS = 64
EPOCHS = 60
SHAPE = {
    "d_model": 64,
    "num_heads": 4,
    "num_blocks": 2,
    "character_size": 16,
    "character_filters": 16,
    "dropout": 0.0,
    "character_dropout": 0.0,
    "survival": 1.0,
}


def real_rows(file):
    """Several questions about each of a few passages, so that the question must be read."""
    rows = [
        (qa["question"], paragraph["context"], qa["answers"][0])
        for article in json.loads(file.read_text(encoding="utf-8"))["data"][::2]
        for paragraph in article["paragraphs"][:2]
        for qa in paragraph["qas"][:3]
        if len(paragraph["context"]) < 900
    ]
    return rows[:NUM_ROWS]


def batch(rows):
    length = max(len(row.input_ids) for row in rows)

    def padded(values):
        return np.pad(values.astype(np.int64), [(0, length - len(values)), (0, 0)][: values.ndim])

    inputs = {
        "input_ids": [padded(row.input_ids) for row in rows],
        "token_type_ids": [padded(row.token_type_ids) for row in rows],
        "attention_mask": [padded(np.ones(len(row.input_ids))) for row in rows],
        "character_ids": [padded(row.character_ids) for row in rows],
    }
    tensors = {name: torch.from_numpy(np.stack(values)) for name, values in inputs.items()}
    return tensors, torch.tensor([row.question for row in rows]), torch.tensor([row.passage for row in rows])


def train(model, encoded, gold):
    """The paper's optimizer, its warm-up shortened; until the rows are known by heart."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(weights, lr=1e-3, betas=(0.8, 0.999), eps=1e-7)
    warm_up = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, math.log(step + 2, 50)))
    generator = torch.Generator().manual_seed(0)
    model.train()
    for _ in range(EPOCHS):
        losses = []
        for chosen in torch.randperm(len(encoded), generator=generator).split(16):
            outputs = read(model, *batch([encoded[row] for row in chosen]))
            starts, ends = gold[chosen].unbind(1)
            loss = F.cross_entropy(outputs.start_logits, starts) + F.cross_entropy(outputs.end_logits, ends)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 5.0)
            optimizer.step()
            warm_up.step()
            optimizer.zero_grad()
            losses.append(loss.item())
        if np.mean(losses) < 0.05:
            return


def f1(guess, gold):
    guessed, wanted = guess.lower().split(), gold.lower().split()
    return 2 * sum((Counter(guessed) & Counter(wanted)).values()) / (len(guessed) + len(wanted))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_sixty_four_real_rows_are_learnt(tmp_path, shared_file):
    file = shared_file("data/squad_v1.1/dev-v1.1.json")
    questions, texts, answers = zip(*real_rows(file), strict=True)
    vectors = VectorTraining(dimensions=64, epochs=20)
    vocabulary(tmp_path / "words", kind="words", texts=[*questions, *texts], vectors=vectors)
    encoder = Encoder.open(tmp_path / "words")
    encoded = encoder.encode(questions, texts, max_length=400, max_question_tokens=40)
    gold = [
        gold_span([Answer(answer["text"], answer["answer_start"])], row.passage_offsets)
        for row, answer in zip(encoded, answers, strict=True)
    ]
    model = qanet.build(tmp_path / "words", **SHAPE, seed=1)
    train(model, encoded, torch.tensor(gold))
    model.eval()
    with torch.no_grad():
        outputs = read(model, *batch(encoded))
    best = best_spans(outputs.start_logits, outputs.end_logits, outputs.passage_mask)
    guesses = [
        span_text(int(best.starts[row, 0]), int(best.ends[row, 0]), encoded[row].passage_offsets, text)
        for row, text in enumerate(texts)
    ]
    scores = [f1(guess, answer["text"]) for guess, answer in zip(guesses, answers, strict=True)]
    assert len(scores) == NUM_ROWS
    assert np.mean(scores) > 0.95
