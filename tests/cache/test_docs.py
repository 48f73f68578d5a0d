"""The example in the documentation runs as it stands."""

import re
from pathlib import Path

import pytest

from pipeline.cache.reader import TargetCache
from pipeline.cache.verify import verify

PAGE = Path(__file__).parents[2] / "docs/cache.md"


def test_the_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, str(PAGE), "exec"), {"__name__": "example"})
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"64 rows to read, \d+ bytes to write", lines[0])
    nats = [float(re.fullmatch(r"epoch \d: ([0-9.]+) nats from the teacher", line)[1]) for line in lines[1:]]
    assert len(nats) == 3
    assert nats[2] < nats[0] / 2
    assert verify(tmp_path / "my_targets") == []
    assert len(TargetCache.open(tmp_path / "my_targets")) == 64
