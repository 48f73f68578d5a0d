"""What every reader in the table promises. A new reader joins by one entry of `SAMPLES`."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import pytest

from pipeline.datasets import READERS
from pipeline.datasets.prepare import prepare
from pipeline.datasets.rows import Broken
from pipeline.errors import DataError
from pipeline.schema import Example


@dataclass(frozen=True)
class Sample:
    """Raw files of a reader with two rows of one split, which is called `x`.

    `file` is the one with the rows, and `split` what params name it by. `spoilt` is the same file with a
    third row that is none; None where each line is one. `beside` are further files.
    """

    file: str
    text: str
    spoilt: str | None
    labels: str
    options: Mapping[str, Any] = field(default_factory=dict)
    split: str = ""
    beside: Mapping[str, str] = field(default_factory=dict)

    def write(self, folder: Path, text: str | None = None) -> Path:
        for name, content in {**self.beside, self.file: text or self.text}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content, encoding="utf-8")
        return folder

    @property
    def files(self) -> dict[str, str]:
        return {"x": self.split or self.file}


def squad(*more: Any) -> str:
    answer = {"text": "Seine", "answer_start": 18}
    questions = [{"id": name, "question": f"{name}?", "answers": [answer]} for name in ("a", "b")]
    paragraph = {"context": "Paris lies on the Seine.", "qas": [*questions, *more]}
    return json.dumps({"version": "1.1", "data": [{"title": "Paris", "paragraphs": [paragraph]}]})


def reqa(*more: Any) -> str:
    questions = ["Where?", "Why?", *more]
    answers = [f"Sentence {number}." for number in range(len(questions))]
    return json.dumps({"questions": questions, "answers": answers, "question_ids": [*range(len(questions))]})


def lines(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


TABLE = "{}\nIt rained.\t1\nIt shone.\t0\n"
PAIRS = "{}\nWhere?\tIn Oslo.\t1\nWhy?\tIt rained.\t0\n"
XNLI = "text_a\ttext_b\tlabel\nIt rains.\tIt is wet.\tentailment\nIt rains.\tA dog.\tneutral\n"
OCNLI = lines(
    *({"sentence1": "下雨。", "sentence2": f"{at}号。", "label": "neutral", "id": at} for at in range(2))
)
CONLL = "Ada\tB-PER\nsaw\tO\n\nOslo\tB-LOC\n"
ARTICLE = '<doc id="1" url="" title="Rain">\nRain\n\nIt rains. It is wet.\n</doc>\n'
HUB = [
    {
        "id": name,
        "question": "Where?",
        "context": "In Oslo.",
        "answers": {"text": ["Oslo"], "answer_start": [3]},
    }
    for name in ("a", "b")
]
QAPS = "document_id,set,question,answer1,answer2\nd,train,Where?,Oslo,in Oslo\nd,train,Who?,Ada,She\n"
SAMPLES = {
    "conll": Sample("x", CONLL, f"{CONLL}\nword\n", "tags"),
    "glue": Sample(
        "x.tsv", TABLE.format("sentence\tlabel"), TABLE.format("sentence\tlabel") + "one\n", "class",
        {"task": "sst2"},
    ),
    "hub": Sample(
        "train.jsonl", lines(*HUB), lines(*HUB, HUB[0] | {"question": None}), "answers", split="train"
    ),
    "narrativeqa": Sample(
        "qaps.csv", QAPS, f"{QAPS}d\n", "answers", split="train",
        beside={"third_party/wikipedia/summaries.csv": "document_id,summary\nd,Ada lives in Oslo.\n"},
    ),
    "ocnli": Sample("x.json", OCNLI, OCNLI + "{oops\n", "class"),
    "pairs": Sample("x.tsv", TABLE.format("text\tlabel"), TABLE.format("text\tlabel") + "one\n", "class"),
    "reqa": Sample("x.json", reqa(), reqa(3), "none"),
    "squad": Sample("x.json", squad(), squad("no object"), "answers"),
    "text": Sample("x.txt", "It rains.\nIt is wet.\n", None, "none"),
    "wikiextractor": Sample("x", ARTICLE, None, "none"),
    "wikiqa": Sample(
        "x.tsv", PAIRS.format("Question\tSentence\tLabel"),
        PAIRS.format("Question\tSentence\tLabel") + "one\n", "class",
    ),
    "xnli": Sample("x.tsv", XNLI, f"{XNLI}one\n", "class"),
}  # fmt: skip
# Those that make their rows: what they make few by, and what labels these have.
BUILT_IN = {
    "demo": ({"teacher_rows": 3, "train_rows": 3, "labelled_rows": 1, "dev_rows": 3}, "answers"),
    "demo_kinds": ({"teacher_rows": 3, "train_rows": 3, "labelled_rows": 1, "dev_rows": 3}, "class"),
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


def read(name: str, folder: Path) -> list[Example | Broken]:
    sample = SAMPLES[name]
    (rows,) = READERS.load(name)(folder, sample.files, **sample.options).values()
    return list(rows)


def test_every_reader_has_a_sample() -> None:
    assert sorted({**SAMPLES, **BUILT_IN}) == READERS.names()


@pytest.mark.parametrize("name", SAMPLES)
def test_every_row_is_read_and_each_time_alike(name: str, tmp_path: Path) -> None:
    folder = SAMPLES[name].write(tmp_path / "raw")
    rows = read(name, folder)
    assert len(rows) == 2
    assert all(isinstance(row, Example) for row in rows)
    assert rows == read(name, folder)


@pytest.mark.parametrize("name", [name for name, sample in SAMPLES.items() if sample.spoilt])
def test_a_spoilt_row_is_told_and_costs_no_other(name: str, tmp_path: Path) -> None:
    folder = SAMPLES[name].write(tmp_path / "raw")
    whole = read(name, folder)
    SAMPLES[name].write(folder, SAMPLES[name].spoilt)
    rows = read(name, folder)
    assert [row for row in rows if isinstance(row, Example)] == whole
    (broken,) = (row for row in rows if isinstance(row, Broken))
    assert broken.reason
    assert broken.detail


@pytest.mark.parametrize("name", SAMPLES)
def test_what_is_missing_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=str(tmp_path / "absent")):
        read(name, tmp_path / "absent")


@pytest.mark.parametrize("name", SAMPLES)
def test_rows_in_are_rows_out_and_rejects(name: str, tmp_path: Path) -> None:
    sample = SAMPLES[name]
    folder = sample.write(tmp_path / "raw", sample.spoilt)
    summary = prepare(
        tmp_path / "out",
        reader=name,
        language="en",
        folder=folder,
        files=sample.files,
        options=sample.options,
        labels=sample.labels,
    )
    counts = summary["splits"]["x"]
    assert counts["rows_in"] == 2 + (sample.spoilt is not None)
    assert counts["rows_in"] == counts["rows_out"] + counts["rejects"]


@pytest.mark.parametrize("name", BUILT_IN)
def test_rows_that_are_made_are_good_and_the_same(name: str, tmp_path: Path) -> None:
    options, labels = BUILT_IN[name]
    made = [READERS.load(name)(tmp_path, {}, **options) for _ in range(2)]
    assert made[0] == made[1]
    summary = prepare(
        tmp_path / "out", reader=name, language="en", folder=tmp_path, options=options, labels=labels
    )
    assert [counts["rows_out"] for counts in summary["splits"].values()] == [3, 3, 3]


@pytest.mark.parametrize("name", READERS.names())
def test_only_its_own_options_are_taken(name: str) -> None:
    options = SAMPLES[name].options if name in SAMPLES else BUILT_IN[name][0]
    assert READERS.option_problems(name, options) == []
    (problem,) = READERS.option_problems(name, {**options, "colour": 1})
    assert f"unknown option 'colour' of reader {name!r}" in problem
