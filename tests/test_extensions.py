"""The hash of code outside the package."""

import sys
from pathlib import Path

import pytest

from pipeline.extensions import code_of

SECTION = {
    "model": {"architecture": "bert", "init_from": "C:/models/x", "note": "a:b c"},
    "phases": [{"terms": [{"loss": "own.losses:first"}, {"loss": "own.losses:second", "at": 1.5}]}],
}


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "modules", {**sys.modules})
    folder = tmp_path / "own"
    folder.mkdir()
    sources = {
        "__init__": "",
        "losses": "import math\nfrom own import parts\nfrom .deep import thing\nraise ValueError()",
        "parts": "import own.more",
        "more": "import own.losses",  # a circle ends
        "deep": "thing = 1",
        "unused": "",
    }
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(source)
    return folder


def test_modules_are_hashed_and_not_imported(package: Path) -> None:
    assert list(code_of(SECTION)) == ["own.losses"]
    assert "own.losses" not in sys.modules
    assert code_of(SECTION) == code_of(SECTION)
    assert code_of({"loss": "kd_kl", "url": "s3:bucket", "at": "no_such:thing"}) == {}


@pytest.mark.parametrize("name", ["losses", "parts", "more", "deep", "__init__"])
def test_an_edit_of_it_or_of_what_it_imports_counts(package: Path, name: str) -> None:
    before = code_of(SECTION)
    file = package / f"{name}.py"
    file.write_text(file.read_text() + "\n# edited")
    assert code_of(SECTION) != before


def test_other_modules_do_not_count(package: Path) -> None:
    before = code_of(SECTION)
    (package / "unused.py").write_text("edited = 1")
    assert code_of(SECTION) == before


def test_a_source_that_is_no_python_has_a_hash_still(package: Path) -> None:
    (package / "losses.py").write_text("def (")
    assert list(code_of(SECTION)) == ["own.losses"]
