import json
from pathlib import Path

import pytest

from pipeline.errors import DataError, ParamsError
from pipeline.schema import Answer, Example, Passage
from pipeline.selection.select import select
from pipeline.tables import read_rows, write_rows

CONTEXT = "Dogs bark all day long. The Elbe flows north. Cats sleep at night."


def _example(question: str, answer: str = "", context: str = CONTEXT) -> Example:
    answers = (Answer(answer, context.index(answer)),) if answer else ()
    return Example("same id", question, context, answers)


TRAIN = [
    _example("Where does the Elbe flow?", "north"),
    _example("Where does the Elbe flow?", "Dogs"),  # lost
    _example("Do cats sleep?"),
    _example("Who?", "it", context="It is it."),
    _example("Who?", context=""),
    _example("who " * 9, context="long " * 30),
]
DEV = [_example("When do cats sleep?", "night")]


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    folder = tmp_path / "examples" / "rivers"
    write_rows(folder / "train.arrow", Example, TRAIN)
    write_rows(folder / "dev.arrow", Example, DEV)
    return folder


def _select(examples: Path, out: Path, tokenizer: Path, method: str = "tfidf", **options) -> dict:
    limits = {"tokenizer": tokenizer, "max_tokens": 14, "max_question_tokens": 6}
    return select(examples, out, language="en", method=method, **limits, **options)


def test_every_row_comes_out_with_what_was_kept(examples: Path, tmp_path: Path, tokenizer: Path):
    report = _select(examples, tmp_path / "out", tokenizer)
    rows = read_rows(tmp_path / "out" / "train.arrow", Passage)
    assert [row.example for row in rows] == list(range(len(TRAIN)))
    assert [row.text for row in rows] == [
        "The Elbe flows north. ",
        "The Elbe flows north. ",
        "Cats sleep at night.",
        "It is it.",
        "",
        "long long long long long long long",
    ]
    assert [row.answers for row in rows[:2]] == [(Answer("north", 15),), ()]
    assert rows[1].gold_texts == ("Dogs",)
    assert report["method"] == "tfidf"
    assert report["splits"]["train"] == {
        "rows": 6,
        "passages": 6,
        "contexts_cut": 4,
        "contexts_truncated": 1,
        "contexts_empty": 1,
        "questions_cut": 1,
        "answers": {
            "all": {"rows": 3, "kept": 2, "share": 0.666667},
            "cut": {"rows": 2, "kept": 1, "share": 0.5},
        },
    }
    assert report["splits"]["dev"]["answers"]["all"]["share"] == 1.0
    assert json.loads((tmp_path / "out" / "coverage.json").read_text()) == report
    assert json.loads((tmp_path / "out" / "dataset.json").read_text()) == {
        "language": "en",
        "splits": {"dev": 1, "train": 6},
    }


def test_without_a_method_the_head_stays(examples: Path, tmp_path: Path, tokenizer: Path):
    report = _select(examples, tmp_path / "out", tokenizer, method="none")
    rows = read_rows(tmp_path / "out" / "train.arrow", Passage)
    assert rows[0].text == "Dogs bark all day long. The"
    assert report["splits"]["train"]["answers"]["cut"] == {"rows": 2, "kept": 1, "share": 0.5}


def test_the_same_input_gives_the_same_bytes(examples: Path, tmp_path: Path, tokenizer: Path):
    for name in ("one", "two"):
        _select(examples, tmp_path / name, tokenizer, idf="corpus")
    for file in ("train.arrow", "dev.arrow", "coverage.json", "dataset.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_split_without_rows(tmp_path: Path, tokenizer: Path):
    write_rows(tmp_path / "examples" / "train.arrow", Example, [])
    report = _select(tmp_path / "examples", tmp_path / "out", tokenizer)
    assert report["splits"]["train"]["answers"]["all"] == {"rows": 0, "kept": 0, "share": None}


def test_a_folder_without_examples(tmp_path: Path, tokenizer: Path):
    with pytest.raises(DataError, match="a table of examples a split; got none; run the prepare stage"):
        _select(tmp_path, tmp_path / "out", tokenizer)


def test_unknown_names_get_a_hint_and_leave_nothing(examples: Path, tmp_path: Path, tokenizer: Path):
    with pytest.raises(ParamsError, match="did you mean 'tfidf'"):
        _select(examples, tmp_path / "out", tokenizer, method="tfdif")
    with pytest.raises(ParamsError, match="unknown option 'top' of selection method 'none'"):
        _select(examples, tmp_path / "out", tokenizer, method="none", top=3)
    assert not (tmp_path / "out").exists()
