import json
import shutil
from dataclasses import replace

import pytest

from pipeline.errors import DataError, MismatchError
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.squad import score
from pipeline.schema import Passage
from pipeline.tables import write_rows

TEXTS = ["w1 w2 w3 w4", "w5 w6 w7", "w8 w9 w10 w11 w12"]


def run(out, model, inputs, **changes):
    settings = {"max_answer_tokens": 2, "latency_rows": 2, "speed_rows": 3, "kind": "student"} | changes
    return evaluate(out, name="small", model=model, inputs=inputs, **settings)


@pytest.fixture
def two_sets(model_folder, passage, write_inputs):
    rows = [passage(text, example=at, golds=[text[:5]]) for at, text in enumerate(TEXTS)]
    split = [passage("w1 w2", 0, 0, golds=["w3"]), passage("w3 w4", 0, 1, golds=["w3"]), passage("w5", 1)]
    return write_inputs(model_folder, {"towns.dev": rows, "towns.windows": split})


def test_metrics_and_predictions_agree(tmp_path, model_folder, two_sets):
    out = tmp_path / "scores"
    metrics = run(out, model_folder, two_sets)
    assert metrics == json.loads((out / "metrics.json").read_text())
    rows = json.loads((out / "predictions" / "towns.dev.json").read_text())
    assert [row["id"] for row in rows] == ["id0", "id1", "id2"]
    given = [score(row["prediction"], row["golds"]) for row in rows]
    assert metrics["sets"]["towns.dev"] == {
        "em": pytest.approx(100 * sum(one.em for one in given) / 3),
        "f1": pytest.approx(100 * sum(one.f1 for one in given) / 3),
        "rows": 3,
        "unlabelled": 0,
        "unanswered": 0,
        "by_question_word": {
            "where": {
                "em": pytest.approx(100 * sum(one.em for one in given) / 3),
                "f1": pytest.approx(100 * sum(one.f1 for one in given) / 3),
                "rows": 3,
            }
        },
    }
    for row, text in zip(rows, TEXTS, strict=True):
        assert text[slice(*row["span"])] == row["prediction"]


def test_scores_of_a_model_whose_answers_are_known(tmp_path, seeker, passage, write_inputs):
    rows = [
        passage("w1 w49 w2", 0, golds=["w49"]),
        # F1 of one word of two.
        passage("w49 w2 w5", 1, golds=["w49 w2"]),
        passage("w3 w49", 2, golds=["w3"]),
        # The second window holds the answer.
        passage("w3 w4 w5", 3, 0, golds=["w49"]),
        passage("w6 w49", 3, 1, golds=["w49"]),
    ]
    metrics = run(tmp_path / "scores", seeker, write_inputs(seeker, {"towns.dev": rows}))
    given = metrics["sets"]["towns.dev"]
    assert (given["em"], given["f1"], given["rows"]) == (50.0, pytest.approx(200 / 3), 4)


def test_free_text_has_scores_of_its_own_in_the_sets_that_have_it(tmp_path, seeker, passage, write_inputs):
    rows = [passage("w1 w49 w2", 0, golds=["w49 w2", "w5"]), passage("w3 w49", 1, golds=["w49"])]
    inputs = write_inputs(seeker, {"stories.dev": rows, "towns.dev": rows})
    metrics = run(tmp_path / "scores", seeker, inputs, free_text=["stories"])
    found = metrics["sets"]["stories.dev"]
    # The seeker says "w49" twice: of the first row precision 1 and recall 1/2.
    assert found["rouge_l"] == pytest.approx(100 * (2.44 * 0.5 / (0.5 + 1.44) + 1) / 2)
    # Of the gold answers of 2 words and of 1, that of 1 is nearer: nothing is too short.
    assert (found["bleu_1"], found["bleu_4"], found["em"]) == (pytest.approx(100), 0, 50)
    assert "rouge_l" not in metrics["sets"]["towns.dev"]


def test_questions_in_variants_are_scored_by_the_worst_of_each_too(tmp_path, seeker, passage, write_inputs):
    rows = [
        replace(passage("w1 w49 w2", 0, golds=["w49"]), id="one-a"),
        replace(passage("w3 w49", 1, golds=["w3"]), id="one-b"),
        replace(passage("w3 w49", 2, golds=["w49"]), id="two"),
    ]
    inputs = write_inputs(seeker, {"hard.dev": rows, "towns.dev": rows})
    metrics = run(tmp_path / "scores", seeker, inputs, variants=["hard"])
    found = metrics["sets"]["hard.dev"]
    assert found["em"] == pytest.approx(200 / 3)
    assert found["worst_variant"] == {"em": 50.0, "f1": 50.0, "rows": 2}
    assert "worst_variant" not in metrics["sets"]["towns.dev"]


def test_questions_without_an_answer(tmp_path, seeker, passage, write_inputs):
    # A passage without w49 has one logit for all tokens, the first one included: a difference of 0.
    rows = [
        passage("w1 w49 w2", 0, golds=["w49"]),
        replace(passage("w1 w2", 1), is_impossible=True),
        replace(passage("w3 w49", 2), is_impossible=True),
        passage("w3", 3),
    ]
    inputs = write_inputs(seeker, {"towns.dev": rows, "towns.known": rows[:1]})
    metrics = run(tmp_path / "scores", seeker, inputs, null_score_diff_threshold=-0.5)
    assert metrics["null_score_diff_threshold"] == -0.5
    given = metrics["sets"]["towns.dev"]
    assert given["has_answer"] == {"em": 100.0, "f1": 100.0, "rows": 1}
    assert given["no_answer"] == {"em": 50.0, "f1": 50.0, "rows": 2}
    assert (given["em"], given["rows"], given["unlabelled"]) == (pytest.approx(200 / 3), 3, 1)
    said = json.loads((tmp_path / "scores" / "predictions" / "towns.dev.json").read_text())
    assert [row["prediction"] for row in said] == ["w49", None, "w49", None]
    assert said[1]["null_score_diff"] == pytest.approx(0.0, abs=1e-5)
    assert "no_answer" not in metrics["sets"]["towns.known"]
    given = run(tmp_path / "scores", seeker, inputs)["sets"]["towns.dev"]
    assert given["no_answer"] == {"em": 0.0, "f1": 0.0, "rows": 2}


def test_windows_are_one_row_and_unlabelled_rows_are_counted_apart(tmp_path, model_folder, two_sets):
    metrics = run(tmp_path / "scores", model_folder, two_sets)
    assert metrics["sets"]["towns.windows"]["rows"] == 1
    assert metrics["sets"]["towns.windows"]["unlabelled"] == 1


def test_size_and_speed(tmp_path, model_folder, two_sets):
    metrics = run(tmp_path / "scores", model_folder, two_sets)
    assert metrics["size"]["mb"] == pytest.approx(4e-6 * metrics["size"]["parameters"])
    assert metrics["speed"]["latency_ms"] > 0
    assert metrics["speed"]["rows_per_second"] > 0
    assert (metrics["speed"]["latency_rows"], metrics["speed"]["speed_rows"]) == (2, 3)


def test_a_passage_that_cannot_be_read_scores_nothing(tmp_path, model_folder, passage, write_inputs):
    rows = [passage("w1", 0, golds=["w1"]), passage(" ", 1, golds=["w2"])]
    metrics = run(tmp_path / "scores", model_folder, write_inputs(model_folder, {"towns.dev": rows}))
    expected = {"em": 50.0, "f1": 50.0, "rows": 2}
    counts = {"unlabelled": 0, "unanswered": 1, "by_question_word": {"where": expected}}
    assert metrics["sets"]["towns.dev"] == expected | counts


def test_chinese_uses_its_own_metric(tmp_path, model_folder, passage, write_inputs):
    rows = [passage("w1", 0, golds=["w-1"])]
    metrics = run(
        tmp_path / "scores", model_folder, write_inputs(model_folder, {"s.dev": rows}, language="zh")
    )
    assert metrics["sets"]["s.dev"]["em"] == 100


def test_another_tokenizer(tmp_path, model_folder, two_sets):
    other = tmp_path / "other"
    shutil.copytree(model_folder, other)
    text = (other / "tokenizer.json").read_text().replace('"w56"', '"w99"')
    (other / "tokenizer.json").write_text(text)
    with pytest.raises(MismatchError, match="run bind again"):
        run(tmp_path / "scores", other, two_sets)
    assert not (tmp_path / "scores").exists()


def test_without_sets_there_is_size_but_no_speed(tmp_path, model_folder, write_inputs):
    folder = write_inputs(model_folder, {"towns.dev": []})
    described = json.loads((folder / "inputs.json").read_text()) | {"sets": {}}
    (folder / "inputs.json").write_text(json.dumps(described))
    metrics = run(tmp_path / "scores", model_folder, folder)
    assert (metrics["sets"], metrics["speed"]) == ({}, None)
    assert metrics["size"]["parameters"] > 0


def test_the_training_log_goes_along(tmp_path, model_folder, two_sets):
    model = tmp_path / "model"
    shutil.copytree(model_folder, model)
    (model / "training_log.jsonl").write_text('{"phase": 0, "step": 1, "loss": 2.5}\n')
    run(tmp_path / "scores", model, two_sets)
    assert "2.5" in (tmp_path / "scores" / "training_log.jsonl").read_text()


def test_rows_that_are_not_the_passages(tmp_path, model_folder, passage, two_sets):
    write_rows(two_sets / "towns.dev.passages.arrow", Passage, [passage("w1")])
    with pytest.raises(DataError, match=r"expected 1 rows, one a passage of towns\.dev; got 3"):
        run(tmp_path / "scores", model_folder, two_sets)


def test_no_inputs(tmp_path, model_folder):
    with pytest.raises(DataError, match=r"inputs\.json"):
        run(tmp_path / "scores", model_folder, tmp_path / "nowhere")
