import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.datasets import READERS
from pipeline.datasets.prepare import prepare
from pipeline.errors import DataError, ParamsError
from pipeline.schema import Answer, Example
from pipeline.tables import read_rows

CONTEXT = "Paris lies on the Seine, and Paris is old."


def qa(id: str, answers: list[tuple[str, Any]], question: str = "Where?", **more: Any) -> dict[str, Any]:
    listed = [{"text": text, "answer_start": start} for text, start in answers]
    return {"id": id, "question": question, "answers": listed, **more}


QAS = [
    qa("right", [("Seine", 18)]),
    qa("off", [("Seine", 17), ("the Seine", 14)], question="Which river?"),
    qa("twice", [("Seine", 18)]),
    qa("absent", [("Rome", 3)]),
    qa("ambiguous", [("Paris", 12)]),
    qa("no question", [("Seine", 18)], question=""),
    qa("impossible", [], question="Who?", is_impossible=True),
    qa("unlabelled", [], question="Why?"),
    qa("saved", [("Rome", 3), ("old", 38)], question="How?"),
    "no entry",
    qa("half a character", [("Seine", 18)], question="\ud83d"),
]


def run(out: Path, path: Path, **more: Any) -> dict[str, Any]:
    return prepare(out, reader="squad", language="en", folder=path.parent, files={"train": path.name}, **more)


def test_every_row_is_kept_or_rejected_with_a_reason(
    tmp_path: Path, write_squad: Callable[..., Path]
) -> None:
    out = tmp_path / "out"
    summary = run(out, write_squad(QAS, CONTEXT))
    reasons = {
        "answer_not_in_context": 1,
        "ambiguous_offset": 1,
        "empty_question": 1,
        "malformed": 1,
        "not_unicode": 1,
        "unanswerable": 1,
    }
    counts = {
        "rows_in": 11,
        "rows_out": 5,
        "rejects": 6,
        "repaired": 1,
        "duplicates": 1,
        "labelled": 4,
        "dropped_answers": 1,
    }
    assert summary == {"language": "en", "splits": {"train": counts}, "reasons": {"train": reasons}}
    assert json.loads((out / "summary.json").read_text()) == summary
    assert read_rows(out / "train.arrow", Example) == [
        Example("right", "Where?", CONTEXT, (Answer("Seine", 18),)),
        Example("off", "Which river?", CONTEXT, (Answer("Seine", 18), Answer("the Seine", 14))),
        Example("twice", "Where?", CONTEXT, (Answer("Seine", 18),)),
        Example("unlabelled", "Why?", CONTEXT),
        Example("saved", "How?", CONTEXT, (Answer("old", 38),), gold_texts=("Rome", "old")),
    ]
    rejects = [json.loads(line) for line in (out / "rejects.jsonl").read_text().splitlines()]
    assert [(reject["split"], reject["row"], reject["id"], reject["reason"]) for reject in rejects] == [
        ("train", 3, "absent", "answer_not_in_context"),
        ("train", 4, "ambiguous", "ambiguous_offset"),
        ("train", 5, "no question", "empty_question"),
        ("train", 6, "impossible", "unanswerable"),
        ("train", 9, "", "malformed"),
        ("train", 10, "half a character", "not_unicode"),
    ]
    assert all(reject["detail"] for reject in rejects)


def test_a_task_may_keep_unanswerable_rows(tmp_path: Path, write_squad: Callable[..., Path]) -> None:
    summary = run(tmp_path / "out", write_squad(QAS, CONTEXT), keep_impossible=True)
    assert summary["splits"]["train"]["labelled"] == 5
    kept = read_rows(tmp_path / "out" / "train.arrow", Example)
    assert [row.id for row in kept if row.is_impossible] == ["impossible"]


def test_the_same_files_give_the_same_bytes(tmp_path: Path, write_squad: Callable[..., Path]) -> None:
    path = write_squad(QAS, CONTEXT)
    for name in ("first", "second"):
        run(tmp_path / name, path)
    for file in ("train.arrow", "rejects.jsonl", "summary.json"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()


def test_a_failure_leaves_what_was_there(tmp_path: Path, write_squad: Callable[..., Path]) -> None:
    out = tmp_path / "out"
    run(out, write_squad(QAS, CONTEXT))
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(DataError, match="no rows"):
        run(out, write_squad([], CONTEXT))
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.json", "out"]


def test_a_split_without_a_usable_row_is_an_error(tmp_path: Path, write_squad: Callable[..., Path]) -> None:
    path = write_squad([qa("absent", [("Rome", 3)]), qa("b", [], is_impossible=True)], CONTEXT)
    with pytest.raises(
        DataError, match=r"2 rows, all rejected \(1 answer_not_in_context, 1 unanswerable; the first"
    ):
        run(tmp_path / "out", path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reader": "squadd"}, "did you mean 'squad'"),
        ({"options": {"seeed": 1}}, "unknown option 'seeed' of reader 'squad'"),
        (
            {"files": {"../dev": "data.json"}},
            "expected a split named with letters, digits, _ and -; got '../dev'",
        ),
        (
            {"reader": "demo", "files": {}, "options": {"seed": "one"}},
            "option 'seed' .* must be int, not 'one'",
        ),
        ({"reader": "demo", "files": {}, "options": {"subjects": True}}, "must be int, not True"),
        ({"reader": "hub", "options": {"revision": 3}}, "must be str or None, not 3"),
    ],
)
def test_settings_that_cannot_be_obeyed(
    tmp_path: Path, write_squad: Callable[..., Path], changes: dict[str, Any], message: str
) -> None:
    path = write_squad(QAS, CONTEXT)
    settings: dict[str, Any] = {"reader": "squad", "files": {"dev": path.name}} | changes
    with pytest.raises(ParamsError, match=message):
        prepare(tmp_path / "out", language="en", folder=path.parent, **settings)
    assert not (tmp_path / "out").exists()


def test_the_demo_is_clean(tmp_path: Path) -> None:
    sizes = {"teacher_rows": 30, "train_rows": 20, "labelled_rows": 5, "dev_rows": 10, "long_share": 1.0}
    summary = prepare(tmp_path / "demo", reader="demo", language="en", folder=tmp_path, options=sizes)
    figures = {split: (c["rows_out"], c["rejects"], c["labelled"]) for split, c in summary["splits"].items()}
    assert figures == {"teacher": (30, 0, 30), "train": (20, 0, 5), "dev": (10, 0, 10)}


@pytest.mark.parametrize("name", READERS.names())
def test_every_reader_of_the_table_loads(name: str) -> None:
    assert callable(READERS.load(name))


# The others make their rows, or know their splits.
@pytest.mark.parametrize("name", sorted({*READERS.names()} - {"demo", "demo_kinds", "hub", "narrativeqa"}))
def test_readers_of_files_need_one_to_be_named(name: str, tmp_path: Path) -> None:
    options = {"task": "sst2"} if name == "glue" else {}
    with pytest.raises(DataError, match="got none named; name them under `files`"):
        READERS.load(name)(tmp_path, {}, **options)


# Counted by plain loops over the JSON, without the code under test.
FEW = [
    (
        "cmrc2018/cmrc2018_dev.json",
        "zh",
        {"rows_in": 1509, "rejects": 0, "repaired": 82, "dropped_answers": 18},
    ),
    ("xquad/xquad.zh.json", "zh", {"rows_in": 799, "rejects": 0, "duplicates": 6}),
]
MANY = [
    ("squad_v1.1/dev-v1.1.json", "en", {"rows_in": 7124, "rejects": 0, "repaired": 0, "duplicates": 25}),
    ("squad_v2_dev_half/dev-v2.0.json", "en", {"rows_in": 5021, "rejects": 2611, "rows_out": 2410}),
    ("cmrc2018/cmrc2018_train.json", "zh", {"rows_in": 10142, "rejects": 0, "repaired": 21}),
    ("drcd/DRCD_dev.json", "zh", {"rows_in": 3524, "rejects": 0, "repaired": 0}),
    ("adversarial_squad/sample1k-HCVerifyAll.json", "en", {"rows_in": 2335, "rejects": 0}),
    ("squadshifts/new_wiki_v1.0.json", "en", {"rows_in": 7938, "rejects": 0, "duplicates": 200}),
    ("tydiqa_goldp_en/tydiqa.goldp.en.train.json", "en", {"rows_in": 3696, "rejects": 0, "duplicates": 0}),
]


@pytest.mark.parametrize(
    ("file", "language", "figures"),
    [*FEW, *(pytest.param(*case, marks=pytest.mark.slow) for case in MANY)],
    ids=[file for file, _, _ in FEW + MANY],
)
def test_real_files(
    tmp_path: Path,
    shared_file: Callable[[str], Path],
    file: str,
    language: str,
    figures: dict[str, int],
) -> None:
    path = shared_file(f"data/{file}")
    summary = prepare(
        tmp_path / "out", reader="squad", language=language, folder=path.parent, files={"all": path.name}
    )
    counts = summary["splits"]["all"]
    assert {key: counts[key] for key in figures} == figures
    for row in read_rows(tmp_path / "out" / "all.arrow", Example):
        assert all(row.context[a.start : a.start + len(a.text)] == a.text for a in row.answers)
