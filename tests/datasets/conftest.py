import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

WriteSquad = Callable[..., Path]


@pytest.fixture
def write_squad(tmp_path: Path) -> WriteSquad:
    """Writes `tmp_path/<name>` with one paragraph that holds the given questions."""

    def write(qas: list[Any], context: Any = "Paris lies on the Seine.", name: str = "data.json") -> Path:
        data = {"version": "1.1", "data": [{"title": "t", "paragraphs": [{"context": context, "qas": qas}]}]}
        path = tmp_path / name
        path.write_text(json.dumps(data), encoding="utf-8")
        return path

    return write
