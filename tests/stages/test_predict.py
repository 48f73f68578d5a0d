"""Which settings of params a prediction follows."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from stages import predict as stage


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: dict[str, Any]) -> Any:
    """Predict with a model of the changed params; gives the options that it is asked with."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text("{}\n")
    given: dict[str, Any] = {}

    def noted(folder: Path, lines: Any, **options: Any) -> list[dict[str, Any]]:
        given.update(options)
        return []

    monkeypatch.setattr(stage, "predict_lines", noted)
    monkeypatch.setattr(stage, "model_folder", lambda settings, name: ("", Path(name)))

    def ask(name: str, **options: Any) -> dict[str, Any]:
        given.clear()
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(tiny))
        stage.predict(name, Path("rows.jsonl"), Path("out.jsonl"), **options)
        return given

    return ask


def test_what_was_taught_that_there_may_be_no_answer_says_so(asked: Any, tiny: dict[str, Any]) -> None:
    tiny["evaluation"] = {"null_score_diff_threshold": 1.5}
    assert all("null_threshold" not in asked(name) for name in ("small", "teacher"))
    tiny["datasets"]["towns"]["keep_impossible"] = True
    assert asked("teacher")["null_threshold"] == 1.5
    assert "null_threshold" not in asked("small")
    tiny["tokenizers"]["words"]["cls_token"] = True
    tiny["targets"]["teacher_towns"]["fields"]["null_logits"] = {}
    for term in tiny["students"]["small"]["phases"][0]["terms"]:
        term["null_answer"] = True
    assert asked("small")["null_threshold"] == 1.5
    assert asked("small", null_threshold=-2.0)["null_threshold"] == -2.0
