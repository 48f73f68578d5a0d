import json
from pathlib import Path

import pytest

from pipeline.datasets.prepare import sort_out
from pipeline.datasets.rows import Broken
from pipeline.datasets.xnli import read
from pipeline.errors import DataError
from pipeline.schema import Example

GOLD = Example("0", "He left.", "He is here.", labels=("contradiction",))
OFFICIAL = (
    "language\tgold_label\tsentence1\tsentence2\tpromptID\tpairID\n"
    "de\tneutral\tEr ging.\tEr lachte.\t1\t1\n"
    "en\tcontradiction\tHe left.\tHe is here.\t1\t2\n"
    "en\t-\tHe left.\tHe is old.\t1\t3\n"
)


def rows(folder: Path, text: str, name: str = "x.tsv", **options: str) -> list[Example | Broken]:
    (folder / name).write_text(text, encoding="utf-8")
    return list(read(folder, {"x": name}, **options)["x"])


@pytest.mark.parametrize(
    "text",
    [
        "text_a\ttext_b\tlabel\nHe left.\tHe is here.\tcontradiction\n",
        "He left.\tHe is here.\tcontradiction\n",
        "premise\thypo\tlabel\nHe left.\tHe is here.\tcontradictory\n",
        "gold_label\tsentence1\tsentence2\ncontradiction\tHe left.\tHe is here.\n",
    ],
    ids=["with a header", "without", "machine-translated", "gold labels"],
)
def test_every_layout_gives_the_same_rows(tmp_path: Path, text: str) -> None:
    assert rows(tmp_path, text) == [GOLD]


def test_json_lines(tmp_path: Path) -> None:
    line = json.dumps({"premise": "He left.", "hypothesis": "He is here.", "label": "contradiction"})
    assert rows(tmp_path, line, "x.jsonl") == [GOLD]


def test_one_language_of_a_file_of_several(tmp_path: Path) -> None:
    assert [row.id for row in rows(tmp_path, OFFICIAL)] == ["1", "2", "3"]
    kept = rows(tmp_path, OFFICIAL, language="en")
    assert [(row.id, row.labels) for row in kept if isinstance(row, Example)] == [
        ("2", ("contradiction",)),
        ("3", None),
    ]
    assert rows(tmp_path, OFFICIAL, language="fr") == []
    with pytest.raises(DataError, match=r"expected a column called 'language'.*leave out the option"):
        rows(tmp_path, "premise\thypo\tlabel\nHe left.\tHe is here.\tneutral\n", language="zh")


def test_other_labels_are_rejects_and_another_layout_is_refused(tmp_path: Path) -> None:
    found = rows(tmp_path, "He left.\tHe is here.\tcontradiction\nHe left.\tHe is old.\tmaybe\nalone\n")
    split = sort_out("x", found, labels="class")
    assert split.examples == [GOLD]
    assert [(reject.row, reject.reason) for reject in split.rejects] == [(1, "wrong_label"), (2, "malformed")]
    with pytest.raises(
        DataError, match=r"columns called 'sentence1', 'sentence2', 'gold_label' or .*'text_a'"
    ):
        rows(tmp_path, "one\ttwo\n1\t2\n")
    with pytest.raises(DataError, match="no lines"):
        rows(tmp_path, "")
