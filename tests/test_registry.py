"""Names and code of one's own, from a module in the working directory."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ParamsError
from pipeline.registry import Table, imported

OPEN = Table("reader", {"path": "pathlib:PurePath"}, arguments=("folder", "files"))
CLOSED = Table("backend", {"path": "pathlib:PurePath"})

MODULE = """
import math

def read(folder, files, *, limit: int, deep: bool | None = None):
    return folder, files, limit

def one(folder, *, limit: int = 1): ...
def three(folder, files, more): ...
def with_default(folder, files, more=1): ...

number = 3
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module `mine_<folder>` of its own for each test, in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "modules", {**sys.modules})
    file = tmp_path / "mine.py"
    file.write_text(MODULE)
    return file


def test_code_of_ones_own_stands_for_a_name() -> None:
    assert "mine:read" in OPEN
    assert OPEN.name_problem("mine:read") is None
    assert OPEN.name_problem("mine:with_default") is None
    assert OPEN.name_problem("path") is None
    assert OPEN.load("mine:read")(1, 2, limit=3) == (1, 2, 3)
    assert OPEN.option_problems("mine:read", {"limit": 3, "deep": True}) == []
    assert os.getcwd() in sys.path


def test_its_options_are_checked_like_those_of_the_built_in() -> None:
    unknown, missing, misfit = OPEN.option_problems("mine:read", {"limits": 3, "deep": 1})
    assert unknown.startswith("unknown option 'limits' of reader 'mine:read'; did you mean 'limit'?")
    assert missing == "option 'limit' of reader 'mine:read' is missing"
    assert misfit == "option 'deep' of reader 'mine:read' must be bool or None, not 1"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("mien:read", "expected a module that can be imported; got no module 'mien'; put it into "),
        ("mine.deeper:read", "got no module 'mine.deeper'"),
        ("mine:reed", "mine.py; got no 'reed'; did you mean 'read'"),
        ("mine:number", "must be a function or a class, not int"),
        ("mine:one", "must take by position folder, files, and options by keyword; it takes folder"),
        ("mine:three", "it takes folder, files, more"),
        ("pth", "unknown reader 'pth'; did you mean 'path'? (known: path), or module:attribute"),
        ("mine:read()", "unknown reader 'mine:read()'"),
    ],
)
def test_what_cannot_be_used_is_said(name: str, problem: str) -> None:
    found = OPEN.name_problem(name)
    assert found is not None
    assert problem in found


@pytest.mark.parametrize(
    ("source", "got"),
    [
        ("def broken(:", "SyntaxError"),
        ("import no_such_thing", "got ModuleNotFoundError: No module named 'no_such_thing'; mend mine"),
        ("raise ValueError('why')", "ValueError: why"),
    ],
)
def test_a_module_that_fails_is_told_from_one_that_is_not_there(module: Path, source: str, got: str) -> None:
    module.write_text(source)
    with pytest.raises(ParamsError, match=got):
        imported("mine:read")


def test_tables_whose_names_come_from_files_import_nothing(
    monkeypatch: pytest.MonkeyPatch, module: Path
) -> None:
    refused: Callable[[Any], None] = lambda name: pytest.fail(f"imported {name}")  # noqa: E731
    monkeypatch.setattr("pipeline.registry.imported", refused)
    assert "mine:read" not in CLOSED
    assert CLOSED.name_problem("mine:read") == "unknown backend 'mine:read'; known: path"
    with pytest.raises(ParamsError, match="expected the name of a backend; got 'mine:read'"):
        CLOSED.load("mine:read")
