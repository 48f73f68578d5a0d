import json
import sys
import types
from pathlib import Path

import pytest

import benchmarks.__main__ as command
from benchmarks import BENCHMARKS
from benchmarks.pairs import Ratio
from pipeline.registry import Table


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command over two ratios, one that holds and one that does not."""
    module = types.ModuleType("measured")
    module.RATIOS = [
        Ratio("fast", "ours", "theirs", "at least", 2.0, lambda pairs: iter([(1.0, 3.0)] * pairs)),
        Ratio("slow", "ours", "theirs", "at most", 1.05, lambda pairs: iter([(1.2, 1.0)] * pairs)),
    ]
    monkeypatch.setitem(sys.modules, "measured", module)
    monkeypatch.setattr(command, "BENCHMARKS", Table("benchmark", {"both": "measured:RATIOS"}))

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
        return command.main(), capsys.readouterr()

    return call


def test_all(run):
    code, printed = run()
    assert code == 1
    assert "fast: 3 [3, 3] at least 2 holds\n    ours 1 s, theirs 3 s, 9 pairs" in printed.out
    assert "slow: 1.2 [1.2, 1.2] at most 1.05 DOES NOT HOLD" in printed.out


def test_one_ratio_by_name(run):
    code, printed = run("fast")
    assert (code, printed.out.count("pairs")) == (0, 1)


def test_json_has_an_object_a_ratio(run):
    _, printed = run("both", "--json", "--pairs", "11")
    fast, slow = map(json.loads, printed.out.splitlines())
    named = {key: fast[key] for key in ("name", "ours", "other", "ratio", "low", "high", "bar", "holds")}
    assert list(named.values()) == ["fast", 1.0, 3.0, 3.0, 3.0, 3.0, 2.0, True]
    assert slow["holds"] is False
    assert slow["pairs"] == 11


def test_every_ratio_stands_in_the_docs():
    page = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    names = {ratio.name for name in BENCHMARKS.names() for ratio in BENCHMARKS.load(name)}
    assert {name for name in names if f"`{name}`" not in page} == set()


def test_unknown_name(run):
    code, printed = run("fsat")
    assert code == 2
    assert "did you mean 'fast'?" in printed.err


def test_too_few_pairs(run, capsys):
    with pytest.raises(SystemExit, match="2"):
        run("--pairs", "3")
    assert "at least 9, got 3" in capsys.readouterr().err
