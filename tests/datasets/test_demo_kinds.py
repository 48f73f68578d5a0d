from pathlib import Path

import pytest

from pipeline.datasets.demo_kinds import read
from pipeline.datasets.labels import classes
from pipeline.errors import ParamsError

SMALL = {"teacher_rows": 80, "train_rows": 40, "labelled_rows": 10, "dev_rows": 30}


@pytest.mark.parametrize("pairs", [False, True])
def test_rows_are_the_same_for_the_same_seed(pairs: bool) -> None:
    one, other = (read(Path(), {}, pairs=pairs, **SMALL) for _ in range(2))
    assert one == other
    assert one != read(Path(), {}, pairs=pairs, seed=2, **SMALL)
    assert {name: len(rows) for name, rows in one.items()} == {"teacher": 80, "train": 40, "dev": 30}
    assert sum(row.labels is not None for row in one["train"]) == 10


def test_labels_are_kinds_or_whether_a_sentence_answers() -> None:
    sentences = read(Path(), {}, teacher_rows=400)["teacher"]
    assert classes(sentences, "class") == sorted(
        ["composer", "country", "element", "inventor", "mountain", "painter", "planet", "river"]
    )
    assert not any(row.question for row in sentences)
    pairs = read(Path(), {}, pairs=True, teacher_rows=400)["teacher"]
    assert 0.4 < sum(row.labels == ("1",) for row in pairs) / 400 < 0.6
    assert all(row.question.endswith("?") for row in pairs)


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(
        ParamsError, match="'labelled_rows' of reader 'demo_kinds': expected a number from 0 to 40"
    ):
        read(Path(), {}, **{**SMALL, "labelled_rows": 41})
    with pytest.raises(ParamsError, match="files"):
        read(Path(), {"train": "x"})
