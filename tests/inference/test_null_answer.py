"""Questions without an answer, said at a BERT teacher's first token: what it learns."""

from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForQuestionAnswering

from pipeline.inference.finetune import finetune
from pipeline.inference.gold_trainer import _GoldTrainer
from pipeline.inference.labelled import LabelledPassages, identity, labelled_batch
from pipeline.tasks.answers import NULL_SPAN
from pipeline.text.tokenizers import Encoder

LIMITS = {"max_length": 90, "max_question_tokens": 16}


@pytest.fixture
def rows(passages):
    """Every third question is known to have no answer; of the last three nothing is known."""
    return [
        replace(row, answers=(), gold_texts=(), is_impossible=True) if at % 3 == 0 and row.answers else row
        for at, row in enumerate(passages(15, unlabelled=3))
    ]


def test_such_rows_are_labelled(rows, teacher_folder):
    data = LabelledPassages(rows, Encoder.open(teacher_folder), **LIMITS)
    assert (len(data), data.skipped, data.has_null) == (12, 3, True)
    assert [tuple(data[at]["gold"]) == NULL_SPAN for at in range(12)] == [at % 3 == 0 for at in range(12)]
    without = LabelledPassages(
        [row for row in rows if not row.is_impossible], Encoder.open(teacher_folder), **LIMITS
    )
    assert not without.has_null


def test_a_tokenizer_without_a_special_token_before_the_question_cannot_say_so(rows, two_step_folder):
    data = LabelledPassages(rows, Encoder.open(two_step_folder), **LIMITS)
    assert (len(data), data.has_null) == (8, False)


def test_the_loss_is_that_of_passage_and_first_token_alone(rows, teacher_folder):
    data = LabelledPassages(rows, Encoder.open(teacher_folder), **LIMITS)
    batch = labelled_batch([data[at] for at in range(12)], pad_token_id=0, labels="answers")
    model = AutoModelForQuestionAnswering.from_pretrained(teacher_folder).eval()
    trainer = _GoldTrainer.__new__(_GoldTrainer)
    trainer.has_null = True
    loss = trainer.compute_loss(model, batch)
    said = model(**batch["inputs"])
    expected = []
    for at in range(12):
        first, last = batch["passage"][at].tolist()
        for logits, gold in zip((said.start_logits, said.end_logits), batch["gold"][at], strict=True):
            seen = [0, *range(first, last)]
            right = 0 if gold == NULL_SPAN[0] else first + int(gold)
            expected.append(-logits[at][seen].log_softmax(0)[seen.index(right)])
    torch.testing.assert_close(loss, torch.stack(expected).mean())


def test_a_label_that_is_taken_away_is_another_training(rows):
    unknown = [replace(row, is_impossible=False) for row in rows]
    assert identity(rows) != identity(unknown)


def test_a_teacher_learns_which_questions_have_none(rows, tokenizer_folder, passage_folder, tmp_path):
    shape = {
        "architecture": "bert",
        "num_hidden_layers": 1,
        "hidden_size": 16,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_length": 96,
    }
    summary = finetune(
        tmp_path / "teacher",
        model=shape,
        tokenizer=tokenizer_folder,
        passages=passage_folder(train=rows),
        training={"max_steps": 4, "per_device_train_batch_size": 4, "logging_steps": 1},
        seed=1,
        **LIMITS,
    )
    assert (summary["rows"], summary["labelled"], summary["skipped"]) == (15, 12, 3)
    assert 0 < summary["loss"] < 10
