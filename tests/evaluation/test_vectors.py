"""Untuned similarity: cosines of sentence vectors, against vectors made one text at a time."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_model
from scipy.stats import pearsonr, spearmanr
from transformers import BertModel

from pipeline import fingerprint
from pipeline.binding.bind import EvaluationSet, bind
from pipeline.errors import DataError
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.judge import LabelJudge
from pipeline.evaluation.labeller import Labelled, Labeller
from pipeline.evaluation.rows import TokenRow
from pipeline.evaluation.vectors import texts_of
from pipeline.models import build
from pipeline.schema import Passage, Segment
from pipeline.tables import write_rows
from pipeline.tasks.heads import head_of
from pipeline.text.tokenizers import read_tokenizer

SETTINGS = {"max_answer_tokens": 8, "latency_rows": 1, "speed_rows": 2}
BERT = {"num_hidden_layers": 2, "hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2}
BILSTM = {"word_size": 6, "lstm_size": 4, "sentence_size": 5}
PAIRS = [
    ("w1 w2", "w1 w2 w3", "5.0"),
    ("w4", "w9 w8 w7", "1.5"),
    ("w5 w6 w7 w8", "w8", "2.25"),
    ("where is w1", "is w1 where", "4.0"),
    ("w11 w12", "w30", "0.0"),
]


def row(ids, question, passage, characters=None):
    return TokenRow(
        np.array(ids), np.zeros(len(ids), int), characters, question, passage, np.zeros((0, 2), int)
    )


@pytest.mark.parametrize(
    ("ids", "question", "passage", "first", "second"),
    [
        ([2, 10, 11, 3, 20, 3], (1, 3), (4, 5), [2, 10, 11, 3], [2, 20, 3]),  # BERT
        ([0, 10, 2, 2, 20, 21, 2], (1, 2), (4, 6), [0, 10, 2], [0, 20, 21, 2]),  # RoBERTa
        ([10, 11, 2, 20], (0, 2), (3, 4), [10, 11], [20]),  # words
        ([20, 2, 10], (2, 3), (0, 1), [10], [20]),  # the passage comes first
        ([10, 11, 2], (0, 2), (3, 3), [10, 11], []),  # the second text was cut off
    ],
)
def test_a_pair_is_parted_into_what_each_text_would_be_alone(ids, question, passage, first, second):
    characters = np.stack([ids, ids], axis=1)
    parts = texts_of(row(ids, question, passage, characters))
    assert [part.input_ids.tolist() for part in parts] == [first, second]
    for part in parts:
        assert part.character_ids.tolist() == [[id, id] for id in part.input_ids]
        assert not part.token_type_ids.any()


def test_one_text_stays_as_it_is():
    single = row([2, 10, 3], (0, 0), (1, 2))
    assert texts_of(single) == (single,)


@pytest.fixture
def scored(tmp_path, model_folder):
    """Binds and scores an encoder on pairs."""

    def run(folder, labels, *, classes=(), pooling="first", layer=-1, pairs=PAIRS):
        passages = [
            Passage(at, 0, str(at), first, second, (Segment(0, 0, len(second)),), (), (), labels=(label,))
            for at, ((first, second, _), label) in enumerate(zip(pairs, labels, strict=True))
        ]
        write_rows(tmp_path / "passages/pairs/dev.arrow", Passage, passages)
        bind(
            tmp_path / "inputs",
            name="encoder",
            language="en",
            tokenizer=folder,
            max_length=32,
            max_question_tokens=16,
            sources=[],
            evaluate=[EvaluationSet(tmp_path / "passages/pairs", "dev", classes)],
            lost_mass_limit=0.0,
            task="sentence",
            vector={"pooling": pooling, "layer": layer},
        )
        metrics = evaluate(
            tmp_path / "scores",
            name="encoder",
            kind="student",
            model=folder,
            inputs=tmp_path / "inputs/evaluate",
            **SETTINGS,
        )
        rows = json.loads((tmp_path / "scores/predictions/pairs.dev.json").read_text())
        return metrics["sets"]["pairs.dev"], [row["values"][0] for row in rows]

    return run


@pytest.fixture
def encoder(tmp_path, model_folder):
    """An encoder without a head, of some architecture, on the words of the tests."""

    def make(architecture, options):
        folder = tmp_path / architecture
        built = build(architecture, model_folder, options, seed=3, head=head_of("sentence", ()))
        with torch.no_grad():
            for weights in built.parameters():
                weights *= 10 if weights.ndim == 2 else 1  # so that texts differ by more than rounding
        built.save_pretrained(folder)
        (folder / "tokenizer.json").write_text((model_folder / "tokenizer.json").read_text())
        return folder, built.eval()

    return make


def cosine(one, other):
    return float(np.dot(one, other) / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.mark.parametrize("pooling", ["first", "mean", "pooler"])
@pytest.mark.parametrize("layer", [-1, 1])
def test_cosines_of_an_encoder_and_their_correlations(pooling, layer, encoder, scored):
    folder, model = encoder("bert", BERT)
    labels = [label for *_, label in PAIRS]
    scores, values = scored(folder, labels, pooling=pooling, layer=layer)
    tokenizer = read_tokenizer(folder)

    def vector(text):
        with torch.no_grad():
            said = model(torch.tensor([tokenizer.encode(text).ids]), output_hidden_states=True)
        if pooling == "pooler":
            return said.pooler_output[0].numpy()
        states = said.hidden_states[layer][0].numpy()
        return states[0] if pooling == "first" else states.mean(axis=0)

    expected = [cosine(vector(first), vector(second)) for first, second, _ in PAIRS]
    np.testing.assert_allclose(values, expected, atol=1e-5)
    golds = [float(label) for label in labels]
    assert scores["pearson"] == pytest.approx(100 * pearsonr(golds, expected).statistic, abs=1e-2)
    assert scores["spearman"] == pytest.approx(100 * spearmanr(golds, expected).statistic, abs=1e-3)
    assert (scores["task"], scores["rows"], scores["unlabelled"]) == ("sentence", 5, 0)
    assert "accuracy" not in scores


def test_cosines_of_a_bilstm(encoder, scored):
    folder, model = encoder("bilstm", BILSTM)
    _, values = scored(folder, [label for *_, label in PAIRS], layer=1)
    tokenizer = read_tokenizer(folder)

    def vector(text):
        with torch.no_grad():
            return model(torch.tensor([tokenizer.encode(text).ids])).last_hidden_state[0, 0].numpy()

    expected = [cosine(vector(first), vector(second)) for first, second, _ in PAIRS]
    np.testing.assert_allclose(values, expected, atol=1e-5)


def test_two_classes_are_told_apart_by_a_threshold(encoder, scored):
    folder, _ = encoder("bert", BERT)
    scores, values = scored(folder, ["0", "1", "0", "1", "1"], classes=("0", "1"), pooling="mean")
    assert scores["accuracy"] >= 60
    assert {"accuracy", "f1", "auc"} <= scores.keys()
    assert len(set(values)) == 5


def test_a_text_without_tokens_is_like_no_other(encoder):
    folder, _ = encoder("bert", BERT)
    judge = LabelJudge(Labeller.open(folder, "sentence", ("0", "1")), "sentence")
    passages = [
        Passage(at, 0, str(at), first, "w1", (Segment(0, 0, 2),), (), (), labels=(label,))
        for at, (first, label) in enumerate([("\u200b", "0"), ("w1", "1")])
    ]
    rows, scores = judge.score(passages, [Labelled((), ()), Labelled((), (0.5,))])
    assert [row["values"] for row in rows] == [[0.0], [0.5]]
    assert (scores["rows"], scores["accuracy"]) == (2, 100.0)


def test_labels_of_one_text_are_no_similarity(encoder, scored):
    folder, _ = encoder("bert", BERT)
    with pytest.raises(
        DataError, match=r"dev\.arrow: expected labelled pairs of texts.*one text alone in 1 of 5"
    ):
        scored(folder, ["0"] * 5, classes=("0", "1"), pairs=[("", "w1", ""), *PAIRS[1:]])


def test_an_encoder_starts_from_a_teachers_layers(tmp_path, model_folder):
    folder = tmp_path / "teacher"
    teacher = build("bert", model_folder, BERT, seed=1)
    teacher.save_pretrained(folder)
    (folder / "tokenizer.json").write_text((model_folder / "tokenizer.json").read_text())
    options = {**BERT, "num_hidden_layers": 1, "init_from": str(folder), "layers": [1]}
    model = build("bert", model_folder, options, seed=2, head=head_of("sentence", ()))
    assert isinstance(model, BertModel)
    given = teacher.bert.encoder.layer[1].state_dict()
    for name, values in model.encoder.layer[0].state_dict().items():
        assert torch.equal(values, given[name])
    assert fingerprint.tokenizer(folder)
    model.save_pretrained(tmp_path / "saved")
    again = build(
        "bert", model_folder, {**BERT, "num_hidden_layers": 1}, seed=4, head=head_of("sentence", ())
    )
    load_model(again, tmp_path / "saved/model.safetensors")
    assert torch.equal(
        again.embeddings.word_embeddings.weight, teacher.bert.embeddings.word_embeddings.weight
    )
