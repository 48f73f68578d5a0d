import json

import pytest

from pipeline.errors import ModelError, ParamsError
from pipeline.evaluation.predict import predict_lines, predict_rows
from pipeline.evaluation.vectors import Pooling
from pipeline.models import qanet

QUESTION = "where is w1 ?"


def answers(model, rows):
    return list(predict_rows(model, rows, max_answer_tokens=4, max_question_tokens=8))


def test_answer_is_the_span_of_the_context(model_folder):
    context = " ".join(f"w{number % 50}" for number in range(200))
    rows = [{"id": "a", "question": QUESTION, "context": context}, {"question": QUESTION, "context": "w5"}]
    long, short = answers(model_folder, rows)
    assert long["id"] == "a"
    assert context[long["start"] : long["end"]] == long["answer"]
    assert 1 <= len(long["answer"].split()) <= 4
    assert 0 < long["score"] <= 1
    assert short == {"row": 1, "answer": "w5", "start": 0, "end": 2, "score": 1.0}


@pytest.mark.parametrize("place", [0, 17, 18, 19, 40, 41, 99])
def test_nothing_of_a_long_context_is_left_out(seeker, place):
    words = ["w3"] * 100
    words[place] = "w49"
    (found,) = answers(seeker, [{"question": QUESTION, "context": " ".join(words)}])
    assert found["answer"] == "w49"
    assert found["start"] == 3 * place
    assert found["score"] > 0.99


def test_bad_rows_become_error_rows_in_their_place(model_folder):
    good = {"question": QUESTION, "context": "w1 w2"}
    bad = [
        5,
        {"question": QUESTION},
        {"id": "x", "question": " ", "context": "w1"},
        {"question": QUESTION, "context": "\ud800"},
        {"question": QUESTION, "context": ["w1"]},
    ]
    found = answers(model_folder, [good, *bad, good])
    assert [row["row"] for row in found] == list(range(7))
    assert ["error" in row for row in found] == [False, True, True, True, True, True, False]
    assert found[1]["error"] == "expected an object with question and context; got int"
    assert found[2]["error"] == "context: expected text; got NoneType"
    assert found[3] == {"row": 3, "id": "x", "error": "question: expected text; got none"}
    assert found[4]["error"] == "context: expected Unicode text; got a lone surrogate"
    assert found[5]["error"] == "context: expected text; got list"


def test_a_question_may_have_no_answer(seeker):
    # A context without w49 has one logit for all tokens, the first one included: a difference of 0.
    rows = [
        {"question": QUESTION, "context": text} for text in ("w1 w49 w2", "w1 w2", " ".join(["w3"] * 100))
    ]
    limits = {"max_answer_tokens": 4, "max_question_tokens": 8}
    found, none, cut = predict_rows(seeker, rows, null_threshold=-0.5, **limits)
    assert (found["answer"], found["start"], found["end"]) == ("w49", 3, 6)
    assert found["null_score_diff"] < -1
    for row in (none, cut):
        assert row["null_score_diff"] == pytest.approx(0.0, abs=1e-5)
        assert (row["answer"], row["start"], row["end"], row["score"]) == ("", None, None, None)
    always = list(predict_rows(seeker, rows, null_threshold=0.5, **limits))
    assert [bool(row["answer"]) for row in always] == [True] * 3
    assert [row["answer"] for row in answers(seeker, rows)] == [row["answer"] for row in always]


def test_of_windows_one_with_an_answer_is_enough(seeker):
    words = ["w3"] * 100
    words[60] = "w49"
    row = {"question": QUESTION, "context": " ".join(words)}
    (found,) = predict_rows(seeker, [row], null_threshold=0.0, max_answer_tokens=4, max_question_tokens=8)
    assert (found["answer"], found["start"]) == ("w49", 180)


def test_lines(model_folder):
    lines = [json.dumps({"question": QUESTION, "context": "w1 w2"}), "\n", "{", "null"]
    found = list(predict_lines(model_folder, lines, max_answer_tokens=4))
    assert [row.get("error", "")[:14] for row in found] == ["", "malformed JSON", "expected an ob"]


def test_a_question_longer_than_a_window_leaves_room(model_folder):
    rows = [{"question": "w1 " * 100, "context": "w2 w3"}]
    (found,) = predict_rows(model_folder, rows, max_answer_tokens=4, max_question_tokens=64)
    assert found["answer"] in "w2 w3"
    assert found["cut"]


def test_answers_come_as_rows_do(model_folder):
    def endless():
        while True:
            yield {"question": QUESTION, "context": "w1 w2"}

    assert next(predict_rows(model_folder, endless(), max_answer_tokens=4))["row"] == 0


def test_what_the_model_cannot_say_is_not_asked(model_folder, tmp_path):
    rows = [{"question": QUESTION, "context": "w1 w2"}]
    with pytest.raises(ParamsError, match="pooling: expected a model of task 'sentence'; got 'span'"):
        next(predict_rows(model_folder, rows, max_answer_tokens=4, pooling=Pooling("mean")))
    shape = {"d_model": 16, "num_heads": 2, "num_blocks": 1, "num_passes": 1, "max_length": 32}
    reader = qanet.build(model_folder, trainable_words=True, word_size=8, **shape)
    reader.save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text((model_folder / "tokenizer.json").read_text())
    assert [row["row"] for row in predict_rows(tmp_path, rows, max_answer_tokens=4)] == [0]
    with pytest.raises(ModelError, match="can say that there is no answer"):
        next(predict_rows(tmp_path, rows, max_answer_tokens=4, null_threshold=0.0))
