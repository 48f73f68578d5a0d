"""Which settings of params a prediction follows."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.text.build import build_tokenizer
from stages import predict as stage


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: dict[str, Any]) -> Any:
    """Predict with a model of the changed params; gives the options that it is asked with."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text("{}\n")
    given: dict[str, Any] = {}

    for name in ("small", "teacher"):
        _model(tmp_path / name, "bert", cls_token=True)

    def noted(folder: Path, lines: Iterable[str], **options: Any) -> list[dict[str, Any]]:
        given.update(options, lines=list(lines))
        return []

    monkeypatch.setattr(stage, "predict_lines", noted)
    monkeypatch.setattr(stage, "model_folder", lambda settings, name: ("", Path(name)))

    def ask(name: str, **options: Any) -> dict[str, Any]:
        given.clear()
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(tiny))
        stage.predict(name, Path("rows.jsonl"), Path("out.jsonl"), **options)
        return given

    return ask


def _model(folder: Path, model_type: str, *, cls_token: bool) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    build_tokenizer(["a b"], folder, kind="words", cls_token=cls_token)
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))


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


def test_a_reader_without_logits_of_no_answer_gives_spans(asked: Any, tiny: dict[str, Any]) -> None:
    tiny["datasets"]["towns"]["keep_impossible"] = True
    for model_type, cls_token, is_able in (
        ("bert", True, True),
        ("qanet", True, False),
        ("bert", False, False),
    ):
        _model(Path("teacher"), model_type, cls_token=cls_token)
        assert ("null_threshold" in asked("teacher")) == is_able


def test_questions_are_as_long_as_in_training(asked: Any, tiny: dict[str, Any]) -> None:
    tiny["selection"]["towns"]["max_question_tokens"] = 17
    assert [asked(name)["max_question_tokens"] for name in ("small", "teacher")] == [17, 17]


def test_one_that_is_scored_on_nothing_has_the_default_limit(asked: Any, tiny: dict[str, Any]) -> None:
    described = tiny["teachers"]["teacher"]
    tiny["teachers"]["finished"] = {"task": described["task"], "model": {"from": "checkpoint"}}
    shutil.copytree("teacher", "finished")
    assert "max_question_tokens" not in asked("finished")


def test_a_mark_at_the_start_of_the_file_is_no_part_of_its_first_row(asked: Any, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b'\xef\xbb\xbf{"text": "a"}\n')
    assert asked("small")["lines"] == ['{"text": "a"}\n']
