from pathlib import Path

from benchmarks.shared import shared


def test_the_folder_is_beside_the_project_or_where_one_says(monkeypatch):
    monkeypatch.delenv("COLDBREW_SHARED", raising=False)
    assert shared("data/rows.json") == Path("../shared/data/rows.json")
    monkeypatch.setenv("COLDBREW_SHARED", "/elsewhere")
    assert shared("data/rows.json") == Path("/elsewhere/data/rows.json")
