import json

import pytest

from pipeline.report.arms import Arm
from pipeline.report.summarise import summarise

TABLE = """\
## cmrc.dev

| reader  |   EM |   F1 | gold-only F1 | teacher F1 | gap closed | parameters |  MB | ms a row | rows/s |
|---------|-----:|-----:|-------------:|-----------:|-----------:|-----------:|----:|---------:|-------:|
| bert    | 64.8 | 85.4 |              |            |            |    12.00 M | 4.8 |      2.5 |     10 |
| gold    | 53.1 | 72.5 |          n/a |        n/a |        n/a |     1.20 M | 4.8 |      2.5 |  1,234 |
| student | 59.8 | 79.9 |         72.5 |       85.4 |       57 % |     1.20 M | 4.8 |      2.5 |  1,234 |
"""


@pytest.fixture
def three(write_scores):
    write_scores("bert", {"cmrc.dev": (64.8, 85.4)}, parameters=12_000_000, rows_per_second=10.0)
    log = [{"phase": phase, "step": step, "loss": 3.0 / step} for phase in (0, 1) for step in (10, 20)]
    write_scores("gold", {"cmrc.dev": (53.1, 72.5)}, rows_per_second=1234.0)
    return write_scores("student", {"cmrc.dev": (59.8, 79.9)}, rows_per_second=1234.0, log=log)


def run(scores, out, **students):
    arms = {"gold": Arm(), "student": Arm(("bert",), "gold")} | students
    return summarise(scores, out, teachers=["bert"], students=arms)


def test_table(three, tmp_path):
    run(three, tmp_path / "reports")
    assert (tmp_path / "reports" / "summary.md").read_text() == TABLE


def test_summary(three, tmp_path):
    summary = run(three, tmp_path / "reports")
    assert summary == json.loads((tmp_path / "reports" / "summary.json").read_text())
    compared = summary["students"]["student"]["compared"]["cmrc.dev"]
    assert compared["teacher"]["name"] == "bert"
    assert compared["gap_closed"]["f1"] == pytest.approx(0.5736434)
    assert compared["gap_closed"]["em"] == pytest.approx((59.8 - 53.1) / (64.8 - 53.1))
    assert summary["missing"] == {}


def test_ensembles_stand_beside_the_others(three, write_scores, tmp_path):
    write_scores("both", {"cmrc.dev": (66.0, 86.5)})
    summary = summarise(
        three,
        tmp_path / "reports",
        teachers=["bert"],
        students={"student": Arm(("bert", "both"), "gold")},
        ensembles=["both"],
    )
    lines = (tmp_path / "reports" / "summary.md").read_text().splitlines()
    assert [line.split()[1] for line in lines[4:]] == ["bert", "student", "both"]
    # An ensemble of a student's teachers is compared with it like one of them.
    assert summary["students"]["student"]["compared"]["cmrc.dev"]["teacher"]["name"] == "both"
    points = (tmp_path / "reports" / "plots.csv").read_text().splitlines()
    assert points[-1] == "cmrc.dev,both,ensemble,100.0,86.5"


def test_points(three, tmp_path):
    run(three, tmp_path / "reports")
    assert (tmp_path / "reports" / "plots.csv").read_text().splitlines() == [
        "set,reader,role,rows_per_second,f1",
        "cmrc.dev,bert,teacher,10.0,85.4",
        "cmrc.dev,gold,student,1234.0,72.5",
        "cmrc.dev,student,student,1234.0,79.9",
    ]


def test_the_page_needs_nothing_beside_it(three, tmp_path):
    run(three, tmp_path / "reports")
    text = (tmp_path / "reports" / "index.html").read_text()
    assert text.count("<svg") == 2
    assert "<td>57 %</td>" in text
    for outside in (' src="', "<link", "<script", "@import"):
        assert outside not in text


def test_equal_scores_give_equal_bytes(three, tmp_path):
    for name in ("one", "two"):
        run(three, tmp_path / name)
    for path in sorted((tmp_path / "one").iterdir()):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


def test_a_teacher_not_above_gold_only(write_scores, tmp_path):
    write_scores("bert", {"cmrc.dev": (50.0, 60.0)})
    write_scores("gold", {"cmrc.dev": (50.0, 60.0)})
    scores = write_scores("student", {"cmrc.dev": (55.0, 65.0)})
    summary = run(scores, tmp_path / "reports")
    assert summary["students"]["student"]["compared"]["cmrc.dev"]["gap_closed"] == {"em": None, "f1": None}
    assert "|         60.0 |       60.0 |        n/a |" in (tmp_path / "reports" / "summary.md").read_text()


def test_missing_and_damaged_scores_are_rows_of_their_own(three, tmp_path):
    (three / "student" / "metrics.json").write_text("{")
    summary = run(three, tmp_path / "reports", absent=Arm(("bert",), "gold"))
    text = (tmp_path / "reports" / "summary.md").read_text()
    assert "## Not scored\n\n| reader  | reason " in text
    assert "run: coldbrew evaluate absent" in text
    assert "malformed JSON" in summary["missing"]["student"]
    assert list(summary["students"]) == ["gold"]
    assert "cmrc.dev" in text


def test_other_json_is_no_score(three, tmp_path):
    (three / "student" / "metrics.json").write_text("[]")
    assert "other JSON" in run(three, tmp_path / "reports")["missing"]["student"]


def test_nothing_at_all(tmp_path):
    summary = summarise(tmp_path / "scores", tmp_path / "reports", teachers=["bert"], students={})
    assert list(summary["missing"]) == ["bert"]
    assert "<svg" not in (tmp_path / "reports" / "index.html").read_text()


def test_a_reader_without_sets_is_left_out_of_tables(three, tmp_path):
    metrics = json.loads((three / "bert" / "metrics.json").read_text()) | {"sets": {}, "speed": None}
    (three / "bert" / "metrics.json").write_text(json.dumps(metrics))
    run(three, tmp_path / "reports")
    text = (tmp_path / "reports" / "summary.md").read_text()
    assert "| bert" not in text
    assert "| student | 59.8 | 79.9 |         72.5 |        n/a |        n/a |" in text
