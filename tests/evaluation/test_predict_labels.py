"""Predictions of labels, against the model's own forward pass through transformers."""

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertForMaskedLM,
    BertModel,
)

from pipeline.errors import ModelError, ParamsError
from pipeline.evaluation.predict import predict_lines, predict_rows
from pipeline.evaluation.vectors import Pooling
from pipeline.models.bert import build
from pipeline.models.head import Head

SHAPE = {"num_hidden_layers": 1, "hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
ROWS, TOKENS = "SequenceClassification", "TokenClassification"
KINDS = {
    "class": Head(ROWS, ("bad", "fine", "good"), "single_label_classification"),
    "classes": Head(ROWS, ("a", "b", "c"), "multi_label_classification"),
    "number": Head(ROWS, (), "regression"),
    "tags": Head(TOKENS, ("B-LOC", "B-PER", "O"), None),
}
GOLD = Head(ROWS, ("no", "yes"), "single_label_classification")
LIKE = Head(ROWS, ("no", "yes"), None, is_score=True)
TEXT = "w1 w2 w3 w4"


@pytest.fixture
def make(model_folder, tmp_path):
    """Write a model with these heads beside the tokenizer of another."""

    def made(head):
        folder = tmp_path / "made"
        folder.mkdir()
        (folder / "tokenizer.json").write_text((model_folder / "tokenizer.json").read_text())
        model = build(folder, max_length=16, head=head, **SHAPE)
        # Random heads of a fresh model say almost the same of every class.
        for name, weights in model.named_parameters():
            if "classifier" in name or name.startswith("heads."):
                torch.nn.init.normal_(weights, std=3.0)
        model.eval().save_pretrained(folder)
        return folder, model

    return made


def said(folder, rows, **options):
    return list(predict_rows(folder, rows, max_answer_tokens=4, **options))


def ids(*texts):
    """Ids of [CLS], the texts behind each other with [SEP], as the tokenizer's template has them."""
    numbers, types = [2], [0]
    for kind, text in enumerate(texts):
        own = [7 + int(word[1:]) for word in text.split()] + [3]
        numbers, types = numbers + own, types + [kind] * len(own)
    return {"input_ids": torch.tensor([numbers]), "token_type_ids": torch.tensor([types])}


@torch.no_grad()
def logits(model, *texts):
    return model(**ids(*texts)).logits[0].double().numpy()


def softmax(values):
    return np.exp(values - values.max()) / np.exp(values - values.max()).sum()


def test_classes_of_texts_and_pairs(make):
    folder, _ = make(KINDS["class"])
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    one, two = said(folder, [{"id": 7, "text": TEXT}, {"question": "w5 w6", "text": TEXT}])
    for found, texts in ((one, [TEXT]), (two, ["w5 w6", TEXT])):
        wanted = softmax(logits(model, *texts))
        assert list(found["probabilities"]) == ["bad", "fine", "good"]
        np.testing.assert_allclose(list(found["probabilities"].values()), wanted, rtol=1e-5)
        assert found["label"] == ("bad", "fine", "good")[wanted.argmax()]
        assert found["score"] == max(found["probabilities"].values())
    assert (one["row"], one["id"], two["row"]) == (0, 7, 1)
    assert one["probabilities"] != two["probabilities"]


def test_several_classes(make):
    folder, model = make(KINDS["classes"])
    (found,) = said(folder, [{"text": TEXT}])
    wanted = 1 / (1 + np.exp(-logits(model, TEXT)))
    np.testing.assert_allclose(list(found["probabilities"].values()), wanted, rtol=1e-5)
    assert found["labels"] == [name for name, value in zip("abc", wanted, strict=True) if value > 0.5]


def test_a_number(make):
    folder, model = make(KINDS["number"])
    (found,) = said(folder, [{"text": TEXT}])
    assert found == {"row": 0, "value": pytest.approx(logits(model, TEXT)[0], rel=1e-5)}


def test_tags_of_words(make):
    folder, _ = make(KINDS["tags"])
    model = AutoModelForTokenClassification.from_pretrained(folder).eval()
    (found,) = said(folder, [{"text": TEXT}])
    best = logits(model, TEXT)[1:-1].argmax(-1)
    assert found == {"row": 0, "words": TEXT.split(), "tags": [("B-LOC", "B-PER", "O")[at] for at in best]}


def test_a_long_text_is_cut_and_says_so(make):
    folder, _ = make(KINDS["tags"])
    words = [f"w{number}" for number in range(20)]
    long, short = said(folder, [{"text": " ".join(words)}, {"text": "w1"}])
    assert (long["cut"], "cut" in short) == (True, False)
    assert long["words"] == words
    # 16 tokens, two of them special.
    assert long["tags"][14:] == ["O"] * 6
    assert long["tags"][:14] == said(folder, [{"text": " ".join(words[:14])}])[0]["tags"]


def test_a_question_is_as_long_as_is_asked_for(make):
    folder, _ = make(KINDS["class"])
    rows = [{"text": "w1", "question": " ".join(["w2"] * length)} for length in (7, 10, 11)]
    # Half of 16 tokens unless another limit leaves room for a text.
    assert ["cut" in row for row in said(folder, rows)] == [False, True, True]
    answers = predict_rows(folder, rows, max_answer_tokens=1, max_question_tokens=10)
    assert ["cut" in row for row in answers] == [False, False, True]


def test_bad_rows_become_error_rows_in_their_place(make):
    folder, _ = make(KINDS["class"])
    lines = [
        '{"text": "w1"}',
        "{",
        "3",
        '{"text": " "}',
        '{"text": "w1", "question": 5}',
        '{"question": "w1"}',
    ]
    found = list(predict_lines(folder, lines, max_answer_tokens=4))
    assert [row["row"] for row in found] == list(range(6))
    assert [row.get("error", "")[:36] for row in found] == [
        "",
        "malformed JSON (Expecting property n",
        "expected an object with text; got in",
        "text: expected text; got none",
        "question: expected text; got int",
        "text: expected text; got NoneType",
    ]


def test_heads_of_several_teachers_answer_together(make):
    folder, model = make({"gold": GOLD, "like_a": LIKE, "like_b": LIKE})
    (found,) = said(folder, [{"text": TEXT}])
    with torch.no_grad():
        heads = {name: values[0].double().numpy() for name, values in model(**ids(TEXT)).heads.items()}
    scores = [1 / (1 + np.exp(-heads[name][0])) for name in ("like_a", "like_b")]
    # Yang et al. 2019, eq. 6: (P(1) + R_a + R_b) / (1 + 2).
    wanted = (softmax(heads["gold"])[1] + sum(scores)) / 3
    assert found["probabilities"] == {"no": pytest.approx(1 - wanted), "yes": pytest.approx(wanted)}
    (alone,) = said(folder, [{"text": TEXT}], heads=["like_a"])
    assert alone["probabilities"]["yes"] == pytest.approx(scores[0])


def test_heads_of_several_tasks_are_named(make):
    folder, model = make({"kind": GOLD, "size": KINDS["number"], "words": KINDS["tags"]})
    with pytest.raises(ParamsError, match=r"got none; name it with --head: kind, size, words"):
        said(folder, [{"text": TEXT}])
    with pytest.raises(ParamsError, match=r"got 'sizes'; did you mean 'size'"):
        said(folder, [{"text": TEXT}], heads=["sizes"])
    with pytest.raises(ParamsError, match=r"several about one thing; got kind and size"):
        said(folder, [{"text": TEXT}], heads=["kind", "size"])
    with torch.no_grad():
        value = model(**ids(TEXT)).heads["size"].item()
    assert said(folder, [{"text": TEXT}], heads=["size"]) == [{"row": 0, "value": pytest.approx(value)}]
    assert said(folder, [{"text": TEXT}], heads=["words"])[0]["words"] == TEXT.split()


def test_vectors_of_an_encoder(make, model_folder, tmp_path):
    _, model = make(KINDS["class"])
    encoder = BertModel(model.config).eval()
    folder = tmp_path / "encoder"
    encoder.save_pretrained(folder)
    (folder / "tokenizer.json").write_text((model_folder / "tokenizer.json").read_text())
    with pytest.raises(ParamsError, match=r"encoder, an encoder without a head.*'--pooling first'"):
        said(folder, [])
    with torch.no_grad():
        outputs = encoder(**ids(TEXT))
    wanted = {
        "first": outputs.last_hidden_state[0, 0],
        "mean": outputs.last_hidden_state[0].mean(0),
        "pooler": outputs.pooler_output[0],
    }
    rows = [{"text": TEXT}, {"text": "w1 " * 20}, {"text": " "}]
    for pooling, vector in wanted.items():
        whole, cut, bad = said(folder, rows, pooling=Pooling(pooling))
        np.testing.assert_allclose(whole["vector"], vector.numpy(), atol=1e-5)
        assert (cut["cut"], len(cut["vector"])) == (True, 16)
        assert bad == {"row": 2, "error": "text: expected text; got none"}


def test_one_head_has_no_name_and_another_kind_of_head_no_answer(make, model_folder, tmp_path):
    with pytest.raises(ParamsError, match="which has one; leave them out"):
        said(model_folder, [], heads=["gold"])
    _, model = make(KINDS["class"])
    other = tmp_path / "other"
    BertForMaskedLM(model.config).save_pretrained(other)
    with pytest.raises(ModelError, match=r"ends in QuestionAnswering,.*got BertForMaskedLM"):
        said(other, [])
    with pytest.raises(ModelError, match=r"expected a model folder with config\.json"):
        said(tmp_path, [])
