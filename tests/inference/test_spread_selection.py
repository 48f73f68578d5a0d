"""Selection on a dask cluster of two local processes."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import MismatchError
from pipeline.inference.spread_selection import transform_on
from pipeline.schema import Example
from pipeline.selection import select as module
from pipeline.selection.select import select
from pipeline.tables import write_rows


@pytest.fixture
def examples(tmp_path: Path, passages: Any) -> Path:
    rows = [Example(row.id, row.question, row.text, row.answers) for row in passages(90, unlabelled=4)]
    write_rows(tmp_path / "examples" / "train.arrow", Example, rows[:70])
    write_rows(tmp_path / "examples" / "dev.arrow", Example, rows[70:])
    return tmp_path / "examples"


@pytest.fixture
def selected(examples: Path, tokenizer_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(module, "BLOCK", 8)

    def run(out: Path, **options: Any) -> dict[str, Any]:
        limits = {"tokenizer": tokenizer_folder, "max_tokens": 30, "max_question_tokens": 10}
        return select(examples, out, language="en", method="tfidf", **limits, **options)

    return run


@pytest.mark.parametrize("idf", ["row", "corpus"])
def test_workers_select_what_one_process_does(selected: Any, workers: Any, tmp_path: Path, idf: str) -> None:
    alone = selected(tmp_path / "alone", idf=idf)
    assert alone["splits"]["train"]["contexts_cut"] > 20
    assert selected(tmp_path / "spread", idf=idf, transform=transform_on(workers)) == alone
    names = sorted(path.name for path in (tmp_path / "alone").iterdir())
    assert names == ["coverage.json", "dataset.json", "dev.arrow", "train.arrow"]
    for name in names:
        assert (tmp_path / "spread" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


def test_a_worker_that_sees_other_examples_stops_it(
    selected: Any, workers: Any, examples: Path, tmp_path: Path
) -> None:
    spread = transform_on(workers)

    def late(selector: Any, table: Path, rows: Any, advance: Any) -> Any:
        write_rows(table, Example, rows[1:])
        return spread(selector, table, rows, advance)

    with pytest.raises(MismatchError, match="others under this path on a worker"):
        selected(tmp_path / "out", transform=late)
    assert not (tmp_path / "out").exists()
