import json

import pytest

from pipeline.evaluation.predict import predict_lines, predict_rows

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


def test_lines(model_folder):
    lines = [json.dumps({"question": QUESTION, "context": "w1 w2"}), "\n", "{", "null"]
    found = list(predict_lines(model_folder, lines, max_answer_tokens=4))
    assert [row.get("error", "")[:14] for row in found] == ["", "malformed JSON", "expected an ob"]


def test_a_question_longer_than_a_window_leaves_room(model_folder):
    rows = [{"question": "w1 " * 100, "context": "w2 w3"}]
    (found,) = predict_rows(model_folder, rows, max_answer_tokens=4, max_question_tokens=64)
    assert found["answer"] in "w2 w3"


def test_answers_come_as_rows_do(model_folder):
    def endless():
        while True:
            yield {"question": QUESTION, "context": "w1 w2"}

    assert next(predict_rows(model_folder, endless(), max_answer_tokens=4))["row"] == 0
