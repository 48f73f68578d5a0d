import json
from pathlib import Path
from types import ModuleType

import pytest

from pipeline.cache.describe import describe
from pipeline.cache.identity import write_identity
from pipeline.cache.manifest import load_manifest
from pipeline.errors import ParamsError


def test_says_what_is_there(sealed: Path) -> None:
    described = json.loads(json.dumps(describe(sealed)))
    assert (described["rows"], described["unique_inputs"], described["splits"]) == (100, 95, {"train": 100})
    assert set(described["fields"]) == {"tokens", "span_logits", "top_spans", "qa_attention"}
    files = [*(sealed / "shards").rglob("*.arrow"), sealed / "rows.arrow"]
    assert described["bytes"] == sum(file.stat().st_size for file in files)
    assert described["fields"]["span_logits"]["error"]["start_logits"]["kl"] > 0
    assert described["unreferenced"] == {"shards": 0, "bytes": 0}


def test_says_what_the_classes_are_called(filling: ModuleType, tmp_path: Path) -> None:
    table = filling.make_rows([f"row {at}" for at in range(20)])
    fields = {"class_logits": {"num_classes": 2}}
    found = []
    for classes in ((), ("no", "yes"), ("yes", "no")):
        settings = filling.make_settings(fields=fields, classes=classes)
        planned = filling.plan(tmp_path / "cache", table, settings)
        filling.fill(planned, filling.ShapedTeacher(table, settings))
        assert describe(tmp_path / "cache")["classes"] == list(classes)
        found.append((load_manifest(tmp_path / "cache").identity, planned.summary()["inputs_to_read"]))
    # Names are said beside the numbers: another name computes nothing again.
    assert found == [(found[0][0], read) for read in (20, 0, 0)]
    with pytest.raises(ParamsError, match=r"2 names, as many as class_logits has.*3: a, b, c"):
        filling.make_settings(fields=fields, classes=("a", "b", "c"))


def test_the_identity_file_is_the_same_for_the_same_work(
    filling: ModuleType, sealed: Path, tmp_path: Path
) -> None:
    write_identity(tmp_path / "one.json", "set", load_manifest(sealed))
    rows = filling.make_rows([f"row {at % 95}" for at in range(100)])
    settings = filling.make_settings()
    filling.fill(
        filling.plan(tmp_path / "other", rows, settings), filling.FakeTeacher(rows), run={"device": "x"}
    )
    write_identity(tmp_path / "two.json", "set", load_manifest(tmp_path / "other"))
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    assert set(json.loads((tmp_path / "one.json").read_text())) == {
        "set",
        "identity",
        "rows",
        "teacher",
        "tokenizer",
    }
