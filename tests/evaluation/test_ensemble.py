"""Ensembles: the mean of what members say apart, at the size and in the time of all."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.errors import MismatchError
from pipeline.evaluation.ensemble import EnsembleJudge, RowOfEach, together
from pipeline.evaluation.evaluate import Folders, evaluate, evaluate_ensemble
from pipeline.evaluation.judge import LabelJudge
from pipeline.evaluation.labeller import Labeller
from pipeline.evaluation.reader import Reader
from pipeline.evaluation.rows import EvaluationSet, TokenRow
from pipeline.models import build, qanet
from pipeline.models.head import Head
from pipeline.text.tokenizers import Encoder

SETTINGS = {"max_answer_tokens": 2, "latency_rows": 1, "speed_rows": 2}
TEXTS = ["w1 w2 w3 w4", "w5 w6 w7", "w8 w9 w10 w11 w12 w13 w14"]
SHAPE = {
    "num_hidden_layers": 1,
    "hidden_size": 8,
    "intermediate_size": 8,
    "num_attention_heads": 2,
    "max_length": 32,
}
KINDS = {
    "classification": ("SequenceClassification", ("no", "yes"), "single_label_classification"),
    "multi_label": ("SequenceClassification", ("a", "b", "c"), "multi_label_classification"),
    "regression": ("SequenceClassification", (), "regression"),
    "tagging": ("TokenClassification", ("B-PER", "O"), None),
}


@pytest.fixture
def members(make_model, passage, write_inputs, tmp_path):
    """Three readers of spans, and what was bound for each."""
    rows = [passage(text, example=at, golds=[text[:5]]) for at, text in enumerate(TEXTS)]
    rows.append(passage(" ", example=3, golds=["w9"]))
    found = {}
    for seed in (1, 2, 3):
        folder = make_model(seed)
        inputs = write_inputs(folder, {"towns.dev": rows})
        found[f"reader_{seed}"] = Folders(folder, inputs.rename(tmp_path / f"inputs_{seed}"))
    return found


def score(tmp_path, members, **options):
    return evaluate_ensemble(
        tmp_path / "scores", name="all", members=members, sets=["towns.dev"], **SETTINGS, **options
    )


def softmax(values):
    exps = np.exp(values - values.max())
    return exps / exps.sum()


def row_of(encoder, text):
    (encoded,) = encoder.encode(["where is w1 ?"], [text], max_length=32, max_question_tokens=8)
    return TokenRow(
        encoded.input_ids,
        encoded.token_type_ids,
        None,
        encoded.question,
        encoded.passage,
        encoded.passage_offsets,
    )


def test_spans_of_the_mean_are_found(tmp_path, members):
    metrics = score(tmp_path, members, weights=[2.0, 1.0, 1.0])
    assert metrics["kind"] == "ensemble"
    rows = json.loads((tmp_path / "scores" / "predictions" / "towns.dev.json").read_text())
    encoder = Encoder.open(members["reader_1"].model)
    for row, text in zip(rows, TEXTS, strict=False):
        read = row_of(encoder, text)
        total = {}
        for folders, share in zip(members.values(), (0.5, 0.25, 0.25), strict=True):
            outputs = Reader.open(folders.model).outputs([read])
            start, end = (
                softmax(logits[0].numpy().astype(float))
                for logits in (outputs.start_logits, outputs.end_logits)
            )
            for first in range(len(start)):
                for last in range(first, min(first + 2, len(start))):
                    total[first, last] = total.get((first, last), 0.0) + share * start[first] * end[last]
        (first, last), wanted = max(total.items(), key=lambda item: item[1])
        words = text.split()
        assert row["prediction"] == " ".join(words[first : last + 1])
        assert row["score"] == pytest.approx(wanted, rel=1e-5)
    assert rows[3]["prediction"] is None


def test_size_is_that_of_all_and_speed_is_measured(tmp_path, members):
    metrics = score(tmp_path, members)
    alone = [
        evaluate(tmp_path / name, name=name, kind="student", model=each.model, inputs=each.inputs, **SETTINGS)
        for name, each in members.items()
    ]
    assert metrics["size"]["parameters"] == sum(one["size"]["parameters"] for one in alone)
    assert metrics["size"]["mb"] == pytest.approx(sum(one["size"]["mb"] for one in alone))
    assert metrics["speed"]["latency_ms"] > 0
    assert metrics["members"]["reader_2"] == alone[1]["model"]


def test_an_ensemble_of_equals_is_each_of_them(tmp_path, members):
    same = dict.fromkeys(("a", "b"), members["reader_1"])
    metrics = score(tmp_path, same)
    folders = members["reader_1"]
    alone = evaluate(
        tmp_path / "alone", name="a", kind="student", model=folders.model, inputs=folders.inputs, **SETTINGS
    )
    assert metrics["sets"] == alone["sets"]


@pytest.fixture
def some_without_answer(members, passage, write_inputs, tmp_path):
    """Two readers of questions of which one has no answer."""
    rows = [passage(text, example=at, golds=[text[:2]]) for at, text in enumerate(TEXTS)]
    rows[1] = replace(passage(TEXTS[1], example=1), is_impossible=True)
    found = {}
    for name in ("reader_1", "reader_2"):
        inputs = write_inputs(members[name].model, {"towns.dev": rows})
        found[name] = Folders(members[name].model, inputs.rename(tmp_path / f"some_{name}"))
    return found


def predicted(tmp_path):
    return json.loads((tmp_path / "scores" / "predictions" / "towns.dev.json").read_text())


def test_no_answer_of_the_mean(tmp_path, some_without_answer):
    metrics = score(tmp_path, some_without_answer)
    assert metrics["sets"]["towns.dev"]["no_answer"]["rows"] == 1
    rows = predicted(tmp_path)
    encoder = Encoder.open(some_without_answer["reader_1"].model)
    for row, text in zip(rows, TEXTS, strict=True):
        read = row_of(encoder, text)
        total, apart = {}, {}
        for folders in some_without_answer.values():
            outputs = Reader.open(folders.model).outputs([read])
            start, end, null = (
                values[0].numpy().astype(float)
                for values in (outputs.start_logits, outputs.end_logits, outputs.null_logits)
            )
            for first in range(len(start)):
                for last in range(first, min(first + 2, len(start))):
                    span, own = (first, last), null.sum() - start[first] - end[last]
                    total[span] = total.get(span, 0.0) + softmax(start)[first] * softmax(end)[last] / 2
                    apart[span] = apart.get(span, 0.0) + own / 2
        wanted = apart[max(total, key=total.get)]
        assert row["null_score_diff"] == pytest.approx(wanted, abs=1e-5)
        assert (row["prediction"] is None) == (wanted > 0)


def test_equals_leave_the_same_questions_unanswered(tmp_path, some_without_answer):
    folders = some_without_answer["reader_1"]
    score(tmp_path, dict.fromkeys(("a", "b"), folders))
    evaluate(
        tmp_path / "alone", name="a", kind="student", model=folders.model, inputs=folders.inputs, **SETTINGS
    )
    alone = json.loads((tmp_path / "alone" / "predictions" / "towns.dev.json").read_text())
    for row, own in zip(predicted(tmp_path), alone, strict=True):
        assert row["prediction"] == own["prediction"]
        assert row["null_score_diff"] == pytest.approx(own["null_score_diff"], abs=1e-5)


def test_with_a_member_that_cannot_say_so_all_questions_are_answered(tmp_path, some_without_answer):
    bert = some_without_answer["reader_1"]
    shape = {"d_model": 16, "num_heads": 2, "num_blocks": 1, "num_passes": 1, "max_length": 32}
    folder = tmp_path / "qanet"
    qanet.build(bert.model, trainable_words=True, word_size=8, **shape).save_pretrained(folder)
    shutil.copy(bert.model / "tokenizer.json", folder)
    score(tmp_path, {"bert": bert, "qanet": Folders(folder, bert.inputs)})
    assert all(row["prediction"] and row["null_score_diff"] is None for row in predicted(tmp_path))


def test_other_passages_or_tokens_have_no_mean(tmp_path, members, passage, write_inputs):
    first = members["reader_1"]
    other = write_inputs(first.model, {"towns.dev": [passage("w1 w2", golds=["w1"])]})
    with pytest.raises(MismatchError, match=r"towns\.dev as 'b' reads it: expected the passages of 'a'"):
        score(tmp_path, {"a": first, "b": Folders(first.model, other)})
    shutil.rmtree(other)
    rows = [passage(text, example=at, golds=[text[:5]]) for at, text in enumerate(TEXTS)]
    rows.append(passage(" ", example=3, golds=["w9"]))
    cut = write_inputs(first.model, {"towns.dev": rows}, max_length=12)
    with pytest.raises(MismatchError, match="expected the tokens of 'a'"):
        score(tmp_path, {"a": first, "b": Folders(first.model, cut)})


@pytest.mark.parametrize("task", sorted(KINDS))
def test_labels_of_the_mean(task, model_folder):
    head = Head(*KINDS[task])
    classes = head.classes
    judges = [
        LabelJudge(
            Labeller.of(
                model_folder,
                build("bert", model_folder, SHAPE, seed=seed, head=head).eval(),
                task,
                classes,
            ),
            task,
        )
        for seed in (1, 2)
    ]
    ids = np.array([2, 4, 5, 6, 3])
    # The second member has not read the second word.
    rows = [
        TokenRow(ids, ids * 0, None, (1, 1), (1, 4), np.zeros((3, 2), int), words=np.array(words))
        for words in ([1, 2, 3], [1, -1, 3])
    ]
    ensemble = EnsembleJudge(tuple(judges), (0.75, 0.25))
    (said,) = ensemble.predict([RowOfEach(tuple(rows))])
    with torch.no_grad():
        one, two = (
            judge.models[0](torch.tensor(ids)[None], torch.ones(1, 5).long()).logits[0] for judge in judges
        )
    if task == "regression":
        assert said.values == pytest.approx([0.75 * float(one[0]) + 0.25 * float(two[0])], rel=1e-5)
    elif task == "tagging":
        one, two = one.softmax(-1)[1:4], two.softmax(-1)[1:4]
        mean = 0.75 * one + 0.25 * two
        mean[1] = one[1]
        assert said.labels == tuple(classes[tag] for tag in mean.argmax(-1))
    else:
        likely = [logits.sigmoid() if task == "multi_label" else logits.softmax(-1) for logits in (one, two)]
        mean = (0.75 * likely[0] + 0.25 * likely[1]).tolist()
        assert said.values == pytest.approx(mean, rel=1e-5)
        wanted = (
            tuple(name for name, value in zip(classes, mean, strict=True) if value > 0.5)
            if task == "multi_label"
            else (classes[int(np.argmax(mean))],)
        )
        assert said.labels == wanted


def test_classes_in_another_order_have_no_mean(model_folder, passage):
    judges = {}
    for name, classes in (("a", ("no", "yes")), ("b", ("yes", "no"))):
        head = Head("SequenceClassification", classes, "single_label_classification")
        model = build("bert", model_folder, SHAPE, seed=1, head=head).eval()
        judges[name] = LabelJudge(
            Labeller.of(model_folder, model, "classification", classes), "classification"
        )
    opened = EvaluationSet([passage("w1")], [])
    with pytest.raises(MismatchError, match="expected the classes of 'a'"):
        together("kinds.dev", judges, {"a": opened, "b": opened})
