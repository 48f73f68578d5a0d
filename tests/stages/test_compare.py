"""`coldbrew compare`: the sets that both readers were scored on."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import DataError
from stages.compare import compare


def _score(name: str, sets: dict[str, tuple[str, list[dict[str, Any]]]]) -> None:
    folder = Path("data/scores") / name
    (folder / "predictions").mkdir(parents=True)
    metrics = {"sets": {key: {} if task == "span" else {"task": task} for key, (task, _) in sets.items()}}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    for key, (_, rows) in sets.items():
        (folder / "predictions" / f"{key}.json").write_text(json.dumps(rows))


def _spans(*f1: float) -> tuple[str, list[dict[str, Any]]]:
    return "span", [{"id": str(at), "em": float(value == 1), "f1": value} for at, value in enumerate(f1)]


def _number(said: float) -> tuple[str, list[dict[str, Any]]]:
    return "regression", [{"id": "0", "values": [said], "golds": ["3"]}]


@pytest.fixture(autouse=True)
def _scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    vectors = "sentence", [{"id": "0", "prediction": [], "values": [0.5], "golds": ["3"]}]
    _score("gold", {"towns.dev": _spans(0.5, 0.0), "sts.dev": _number(1.0), "like.dev": vectors})
    _score("soft", {"towns.dev": _spans(1.0, 0.25), "sts.dev": _number(2.5), "like.dev": vectors})
    _score("other", {"rivers.dev": _spans(1.0)})
    _score("encoder", {"sts.dev": vectors})
    _score("longer", {"towns.dev": _spans(1.0, 1.0, 1.0)})


def test_every_shared_set_has_its_lines() -> None:
    lines = [line for line in compare("gold", "soft").splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["set", "score", "rows", "gold", "soft", "difference", "95 %", "p"]
    assert cells[1][:6] == ["towns.dev", "EM", "2", "0.0", "50.0", "+50.0"]
    assert cells[2][:6] == ["towns.dev", "F1", "2", "25.0", "62.5", "+37.5"]
    assert cells[3][:7] == ["sts.dev", "absolute error", "1", "2.000", "0.500", "-1.500", "-1.500 to -1.500"]
    assert cells[4][:6] == ["sts.dev", "Pearson", "1", "0.0", "0.0", "+0.0"]
    assert cells[5] == ["set", "reason"]
    assert cells[6][0] == "like.dev"
    assert "scored together" in cells[6][1]
    assert set(json.loads(compare("gold", "soft", as_json=True))) == {"towns.dev", "sts.dev"}


def test_what_cannot_be_compared() -> None:
    with pytest.raises(DataError, match=r"expected the scores of 'sof'; .*did you mean 'soft'"):
        compare("gold", "sof")
    with pytest.raises(DataError, match="got no set that both have"):
        compare("gold", "other")
    with pytest.raises(DataError, match=r"sts\.dev: .*one task; got regression and sentence"):
        compare("gold", "encoder")
    with pytest.raises(DataError, match=r"sts\.dev: .*one task; got sentence and regression"):
        compare("encoder", "gold")
    with pytest.raises(DataError, match=r"got towns\.dev: .*2 and 3 rows whose ids differ"):
        compare("gold", "longer")
