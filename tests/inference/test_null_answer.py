"""Questions without an answer, said at the first token: learnt, cached, and taught."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from tokenizers import Regex, Tokenizer, pre_tokenizers
from transformers import AutoModelForQuestionAnswering

from pipeline.binding.bind import Source, bind
from pipeline.binding.target_rows import TargetSet
from pipeline.cache.reader import TargetCache
from pipeline.errors import ModelError
from pipeline.inference.cache_targets import cache_targets
from pipeline.inference.finetune import finetune
from pipeline.inference.gold_trainer import _GoldTrainer
from pipeline.inference.labelled import LabelledPassages, identity, labelled_batch
from pipeline.inference.live import LiveTargets
from pipeline.inference.teacher import SpanTeacher
from pipeline.models import build
from pipeline.models.reading import read
from pipeline.objectives.needs import needs
from pipeline.objectives.objective import build_objective
from pipeline.tasks.answers import NULL_SPAN
from pipeline.text.tokenizers import Encoder
from pipeline.training.stream import Stream, Targets, row_identities

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


def test_what_is_cached_is_what_the_model_says_there(rows, teacher_folder):
    teacher = SpanTeacher.open(teacher_folder, max_length=90, fields={"null_logits": {}}, batch_tokens=300)
    encoded = Encoder.open(teacher_folder).encode(
        [row.question for row in rows], [row.text if at else "" for at, row in enumerate(rows)], **LIMITS
    )
    stored = teacher.read(encoded, ["null_logits"])["null_logits"]
    model = AutoModelForQuestionAnswering.from_pretrained(teacher_folder).eval()
    for at, row in enumerate(encoded):
        ids, types = (torch.from_numpy(part).long()[None] for part in (row.input_ids, row.token_type_ids))
        with torch.no_grad():
            said = model(input_ids=ids, token_type_ids=types)
        expected = [float(said.start_logits[0, 0]), float(said.end_logits[0, 0])]
        np.testing.assert_allclose(stored.row(at), expected, atol=1e-5)


@pytest.mark.parametrize("pieces", ["the teacher's", "shorter"])
def test_a_student_is_taught_the_same_from_a_cache(
    pieces, rows, teacher_folder, tokenizer_folder, passage_folder, tmp_path
):
    fields = {"span_logits": {"dtype": "float32"}, "null_logits": {"dtype": "float32"}}
    terms = [
        {"loss": "gold", "null_answer": True},
        {"loss": "kd_kl", "from": "teacher", "null_answer": True, "temperature": 2.0},
    ]
    folder, words = passage_folder(train=rows), tmp_path / "words"
    cache_targets(
        tmp_path / "set",
        manifest_out=tmp_path / "set.json",
        teacher=teacher_folder,
        passages=folder,
        splits=["train"],
        fields=fields,
        **LIMITS,
    )
    shutil.copytree(tokenizer_folder, words)
    if pieces == "shorter":
        tokenizer = Tokenizer.from_file(str(words / "tokenizer.json"))
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Split(Regex(r".{1,3}"), "isolated")]
        )
        tokenizer.save(str(words / "tokenizer.json"))
    wanted = needs(terms)["teacher"]
    inputs = bind(
        tmp_path / "inputs",
        name="student",
        language="en",
        tokenizer=words,
        max_length=200,
        max_question_tokens=40,
        sources=[Source(0, 0, folder, "train", {"teacher": TargetSet(tmp_path / "set", *wanted)})],
        evaluate=[],
        lost_mass_limit=0.01,
    )
    (source,) = inputs.sources
    assert source.targets["teacher"]["equal_tokens"] == (pieces != "shorter")
    columns = source.columns()
    assert [tuple(columns["gold"].row(at)) == NULL_SPAN for at in range(6)] == [True, False, False] * 2
    cache = TargetCache.open(tmp_path / "set", expected=source.targets["teacher"]["identity"])
    live = LiveTargets(
        SpanTeacher.open(teacher_folder, max_length=90, fields=fields),
        Encoder.open(teacher_folder),
        rows,
        **LIMITS,
    )
    shape = {"num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2, "max_length": 200}
    student = build("bert", words, {**shape, "intermediate_size": 16}, seed=3).eval()
    measured = []
    for held in (cache, live):
        targets = Targets(held, held.positions(*row_identities(columns)), wanted[1])
        batch = Stream(columns, {"teacher": targets}).__getitems__((np.arange(15), np.ones(15, np.bool_)))
        with torch.no_grad():
            outputs = read(student, batch["inputs"], batch["question"], batch["passage"])
            measured.append(build_objective(terms)(outputs, batch)[1])
    assert (int(measured[0]["gold"].rows), int(measured[0]["kd_kl"].rows)) == (12, 15)
    for name, part in measured[0].items():
        torch.testing.assert_close(part.total, measured[1][name].total, rtol=1e-5, atol=1e-5)
        assert part.total > 0


def test_a_teacher_without_the_place_is_refused(rows, teacher_folder, two_step_folder):
    with pytest.raises(ModelError, match="a rmr, which has those of the passage alone"):
        SpanTeacher.open(two_step_folder, max_length=90, fields={"null_logits": {}})
    teacher = SpanTeacher.open(teacher_folder, max_length=90, fields={"null_logits": {}})
    words = Encoder.open(two_step_folder).encode([rows[0].question], [rows[0].text], **LIMITS)
    with pytest.raises(ModelError, match="reads a special token before the question"):
        teacher.read(words, ["null_logits"])


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
