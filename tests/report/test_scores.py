"""Sets of other tasks than spans: their own scores, compared by the first of them."""

import json

import pytest

from pipeline.report.arms import Arm
from pipeline.report.summarise import summarise

TWINS = {"gold": Arm(), "student": Arm(("teacher",), "gold")}


@pytest.fixture
def write(tmp_path):
    def written(name, results):
        folder = tmp_path / "scores" / name
        folder.mkdir(parents=True)
        size, speed = {"parameters": 1000, "mb": 1.0}, {"latency_ms": 1.0, "rows_per_second": 10.0}
        metrics = {"sets": {"a.dev": results}, "size": size, "speed": speed}
        (folder / "metrics.json").write_text(json.dumps(metrics, sort_keys=True))

    return written


def test_classes_are_compared_by_accuracy(tmp_path, write):
    for name, accuracy in {"teacher": 90.0, "gold": 80.0, "student": 85.0}.items():
        scores = {"accuracy": accuracy, "f1": 50.0, "matthews": 40.0}
        write(name, {"task": "classification", **scores, "rows": 9, "unlabelled": 1})
    summary = summarise(tmp_path / "scores", tmp_path / "out", teachers=["teacher"], students=TWINS)
    compared = summary["students"]["student"]["compared"]["a.dev"]
    assert compared["gap_closed"] == {"accuracy": 0.5, "f1": None, "matthews": None}
    header, _, *rows = (tmp_path / "out/summary.md").read_text().splitlines()[2:6]
    cells = [cell.strip() for cell in header.split("|")[1:-1]]
    assert cells[:7] == [
        "reader",
        "accuracy",
        "F1",
        "Matthews",
        "gold-only accuracy",
        "teacher accuracy",
        "gap closed",
    ]
    assert [cell.strip() for cell in rows[0].split("|")[2:5]] == ["90.0", "50.0", "40.0"]
    assert "classification" not in (tmp_path / "out/plots.csv").read_text()


def test_a_regression_has_no_place_among_f1_points(tmp_path, write):
    write("teacher", {"task": "regression", "pearson": 70.0, "spearman": 60.0, "rows": 9, "unlabelled": 0})
    summarise(tmp_path / "scores", tmp_path / "out", teachers=["teacher"], students={})
    assert (tmp_path / "out/plots.csv").read_text() == "set,reader,role,rows_per_second,f1\n"
    assert "| Pearson | Spearman |" in (tmp_path / "out/summary.md").read_text()


def test_readers_of_free_text_are_compared_by_rouge_l(tmp_path, write):
    for name, score in {"teacher": 60.0, "gold": 40.0, "student": 55.0}.items():
        free = {"bleu_1": 30.0, "bleu_4": 20.0, "rouge_l": score}
        write(name, {"em": 10.0, "f1": 50.0, **free, "rows": 9, "unlabelled": 0, "unanswered": 0})
    summarise(tmp_path / "scores", tmp_path / "out", teachers=["teacher"], students=TWINS)
    header, _, *rows = (tmp_path / "out/summary.md").read_text().splitlines()[2:7]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in (header, rows[-1])]
    assert cells[0][1:9] == [
        "EM", "F1", "Bleu-1", "Bleu-4", "Rouge-L", "gold-only Rouge-L", "teacher Rouge-L", "gap closed",
    ]  # fmt: skip
    assert cells[1][:9] == ["student", "10.0", "50.0", "30.0", "20.0", "55.0", "40.0", "60.0", "75 %"]


def test_answers_are_shown_by_question_word(tmp_path, write):
    words = {
        "who": {"em": 10.0, "f1": 20.0, "rows": 3},
        "what": {"em": 50.0, "f1": 60.0, "rows": 1_200},
    }
    counts = {"rows": 1_203, "unlabelled": 0, "unanswered": 0}
    apart = {"no_answer": {"em": 1.0, "f1": 1.0, "rows": 9}, "has_answer": {"em": 2.0, "f1": 3.0, "rows": 9}}
    write("teacher", {"em": 49.9, "f1": 59.9, **counts, "by_question_word": words, **apart})
    write("gold", {"em": 40.0, "f1": 50.0, **counts, "by_question_word": {"what": words["what"]}})
    write("student", {"em": 40.0, "f1": 50.0, **counts})
    summarise(tmp_path / "scores", tmp_path / "out", teachers=["teacher"], students=TWINS)
    table = (tmp_path / "out/summary.md").read_text().split("## a.dev: EM/F1 by question word\n\n")[1]
    header, _, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines())
    assert header == ["reader", "has answer (9)", "no answer (9)", "what (1,200)", "who (3)"]
    assert rows == [
        ["teacher", "2.0/3.0", "1.0/1.0", "50.0/60.0", "10.0/20.0"],
        ["gold", "n/a", "n/a", "50.0/60.0", "n/a"],
        ["student", "n/a", "n/a", "n/a", "n/a"],
    ]
    assert "<h2>F1 by question word</h2>" in (tmp_path / "out/index.html").read_text()
