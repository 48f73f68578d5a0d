"""Scores of a model in training are those of the finished one."""

import json

import pytest
import torch

from pipeline.errors import DataError
from pipeline.evaluation import development
from pipeline.evaluation.development import Development
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.judge import open_judge
from pipeline.evaluation.reader import Reader

TEXTS = ["w1 w2 w3 w4", "w5 w6 w7", "w8 w9 w10 w11 w12"]


@pytest.fixture
def bound(model_folder, passage, write_inputs):
    """Inputs as bind writes them for training: the sets to be scored stand in a description of their own."""

    def write(golds):
        rows = [passage(text, example=at, golds=golds(text)) for at, text in enumerate(TEXTS)]
        folder = write_inputs(model_folder, {"towns.dev": rows})
        described = json.loads((folder / "inputs.json").read_text())
        described["development"] = {
            "max_answer_tokens": 2,
            "null_score_diff_threshold": 0.5,
            "sets": described["sets"],
        }
        (folder / "inputs.json").write_text(json.dumps(described))
        return folder

    return write


def test_scores_are_those_of_evaluation(tmp_path, model_folder, bound):
    inputs = bound(lambda text: [text[:5]])
    scorer = Development.open(inputs, "towns.dev", model_folder)
    model = Reader.open(model_folder).model
    model.train()
    random = torch.get_rng_state()
    scores = scorer(model)
    assert model.training
    assert torch.equal(random, torch.get_rng_state())
    finished = evaluate(
        tmp_path / "scores",
        name="small",
        kind="student",
        model=model_folder,
        inputs=inputs,
        max_answer_tokens=2,
        latency_rows=1,
        speed_rows=1,
    )
    assert scores == {name: finished["sets"]["towns.dev"][name] for name in scorer.metrics}
    assert scores["f1"] > 0


def test_free_text_is_scored_where_it_is_said_to_be(model_folder, bound):
    inputs = bound(lambda text: [text[:5]])
    plain = Development.open(inputs, "towns.dev", model_folder)
    assert plain.metrics == ("em", "f1")
    described = json.loads((inputs / "inputs.json").read_text())
    described["development"]["free_text"] = ["towns"]
    (inputs / "inputs.json").write_text(json.dumps(described))
    scorer = Development.open(inputs, "towns.dev", model_folder)
    model = Reader.open(model_folder).model
    scores = scorer(model)
    assert tuple(scores) == scorer.metrics == ("em", "f1", "bleu_1", "bleu_4", "rouge_l")
    assert scores["f1"] == plain(model)["f1"]
    assert scores["rouge_l"] > 0


def test_a_set_without_gold_answers_is_refused(model_folder, bound):
    scorer = Development.open(bound(lambda text: []), "towns.dev", model_folder)
    with pytest.raises(DataError, match="expected gold answers; got none"):
        scorer(Reader.open(model_folder).model)


def test_the_threshold_of_no_answer_is_that_of_evaluation(model_folder, bound, monkeypatch):
    given = {}

    def noted(*args, **options):
        given.update(options)
        return open_judge(*args, **options)

    monkeypatch.setattr(development, "open_judge", noted)
    Development.open(bound(lambda text: [text[:5]]), "towns.dev", model_folder)(
        Reader.open(model_folder).model
    )
    assert (given["max_answer_tokens"], given["null_score_diff_threshold"]) == (2, 0.5)
