"""Caches merged into one: values by hand, keys that cover the members, growth."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from pipeline.cache.fill import fill, repair
from pipeline.cache.manifest import Manifest, load_manifest
from pipeline.cache.merge import Members
from pipeline.cache.mix import Mix
from pipeline.cache.plan import plan
from pipeline.cache.ragged import Ragged
from pipeline.cache.reader import TargetCache
from pipeline.cache.verify import verify
from pipeline.errors import CacheError, MismatchError

NAMES = [f"row {at % 35}" for at in range(40)]
SPLITS = ["train"] * 30 + ["dev"] * 10
FLOAT32: dict[str, dict[str, Any]] = {
    "span_logits": {"dtype": "float32"},
    "top_spans": {"k": 3},
    "qa_attention": {"layer": 1, "dtype": "float32"},
}
OWN = {"span_logits": {}, "top_spans": {"k": 4}, "qa_attention": {}}

Make = Callable[..., Path]


@pytest.fixture
def make(filling: ModuleType, tmp_path: Path) -> Make:
    """Fills a member: what `FakeTeacher` says, or another teacher of the same tokens."""

    def run(
        name: str, *, other: bool = False, moved: bool = False, names: list[str] = NAMES, **changes: object
    ) -> Path:
        rows = filling.make_rows(names, [*SPLITS, *["train"] * (len(names) - len(SPLITS))])
        teacher = filling.FakeTeacher(rows)

        def read(chosen: np.ndarray, fields: frozenset[str]) -> Mapping[str, Ragged]:
            said = teacher(chosen, fields)
            if moved and "passage_offsets" in said:
                offsets = said["passage_offsets"]
                said["passage_offsets"] = Ragged(offsets.values + np.int32(1), offsets.offsets)
            if not other:
                return said
            changed = dict(said)
            for column in ("start_logits", "end_logits", "qa_attention"):
                if column in said:
                    values = np.cos(1.7 * said[column].values + 0.3).astype(np.float32)
                    changed[column] = Ragged(5 * values, said[column].offsets)
            if "top_starts" in said:
                changed["top_ends"] = Ragged(said["top_ends"].values + 1, said["top_ends"].offsets)
                log_probs = said["top_log_probs"]
                changed["top_log_probs"] = Ragged(log_probs.values * np.float32(0.9), log_probs.offsets)
            return changed

        weights = ("o" if other else "w") * 32
        settings = {"teacher": {"weights": weights, "config": "c" * 32}, "fields": FLOAT32, **changes}
        fill(plan(tmp_path / name, rows, filling.make_settings(**settings)), read)
        return tmp_path / name

    return run


def members(folders: list[Path], mean: str = "mean_probabilities", **changes: Any) -> Members:
    weights = changes.pop("weights", [3, 1])
    made = {"splits": ["train", "dev"], "fields": OWN, **changes}
    return Members(folders, Mix.of(mean, len(folders), weights), **made)


def merged(out: Path, of: Members) -> Manifest:
    return fill(plan(out, of.rows, of.settings), of, run=of.facts)


def rows_of(folder: Path, columns: list[str]) -> list[dict[str, np.ndarray]]:
    """Every row of a cache, each column cut to its extents, in float64 where floating."""
    cache = TargetCache.open(folder)
    rows = []
    for row in range(len(cache)):
        batch = cache.batch(np.array([row]), [*columns, "passage_offsets"])
        rows.append(
            {
                name: batch[name][0].astype(np.float64 if batch[name].dtype.kind == "f" else np.int64)
                for name in columns
            }
        )
    return rows


def softmax(values: np.ndarray) -> np.ndarray:
    exps = np.exp(values - values.max(initial=-1e9))
    return exps / exps.sum()


LOGITS = ["start_logits", "end_logits"]


def test_a_mean_of_probabilities_is_stored_as_logits(make: Make, tmp_path: Path) -> None:
    folders = [make("one"), make("two", other=True)]
    merged(tmp_path / "both", members(folders))
    one, two, both = (rows_of(folder, LOGITS) for folder in [*folders, tmp_path / "both"])
    assert len(both) == 40
    for name in LOGITS:
        for first, second, mean in zip(one, two, both, strict=True):
            expected = 0.75 * softmax(first[name]) + 0.25 * softmax(second[name])
            np.testing.assert_allclose(np.exp(mean[name]), expected, rtol=1e-5)


def test_a_mean_of_logits(make: Make, tmp_path: Path) -> None:
    folders = [make("one"), make("two", other=True)]
    merged(tmp_path / "both", members(folders, "mean_logits"))
    one, two, both = (rows_of(folder, LOGITS) for folder in [*folders, tmp_path / "both"])
    for name in LOGITS:
        for first, second, mean in zip(one, two, both, strict=True):
            np.testing.assert_allclose(mean[name], 0.75 * first[name] + 0.25 * second[name], atol=1e-5)


def test_attention_is_averaged_and_tokens_stay(make: Make, tmp_path: Path) -> None:
    folders = [make("one"), make("two", other=True)]
    merged(tmp_path / "both", members(folders))
    columns = ["qa_attention", "passage_offsets", "question_offsets"]
    one, two, both = (rows_of(folder, columns) for folder in [*folders, tmp_path / "both"])
    for first, second, mean in zip(one, two, both, strict=True):
        expected = 0.75 * first["qa_attention"] + 0.25 * second["qa_attention"]
        np.testing.assert_allclose(mean["qa_attention"], expected, atol=1e-6)
        for name in columns[1:]:
            np.testing.assert_array_equal(first[name], mean[name])


def test_the_surest_spans_of_all_teachers_are_kept(make: Make, tmp_path: Path) -> None:
    folders = [make("one"), make("two", other=True)]
    merged(tmp_path / "both", members(folders))
    columns = ["top_starts", "top_ends", "top_log_probs"]
    said = [rows_of(folder, columns) for folder in [*folders, tmp_path / "both"]]
    for first, second, both in zip(*said, strict=True):
        spans = [
            (-log_prob, start, end)
            for row in (first, second)
            for start, end, log_prob in zip(*(row[name].tolist() for name in columns), strict=True)
        ]
        got = list(zip(*(both[name].tolist() for name in columns), strict=True))
        assert [(-log_prob, start, end) for start, end, log_prob in got] == sorted(spans)[:4]


def test_a_span_that_all_name_counts_once(make: Make, tmp_path: Path) -> None:
    merged(tmp_path / "both", members([make("one"), tmp_path / "one"]))
    columns = ["top_starts", "top_ends", "top_log_probs"]
    for alone, both in zip(
        rows_of(tmp_path / "one", columns), rows_of(tmp_path / "both", columns), strict=True
    ):
        order = np.argsort(-alone["top_log_probs"], kind="stable")
        for name in columns:
            np.testing.assert_array_equal(both[name], alone[name][order])


def test_the_splits_wanted_in_the_order_wanted(make: Make, tmp_path: Path) -> None:
    folders = [make("one"), make("two", other=True)]
    manifest = merged(tmp_path / "dev", members(folders, splits=["dev"]))
    assert manifest.rows.splits == {"dev": 10}
    whole = TargetCache.open(folders[0]).rows
    got = TargetCache.open(tmp_path / "dev").rows
    np.testing.assert_array_equal(got.input_hash, whole.input_hash[30:])
    assert got.occurrence.max() == 0
    assert verify(tmp_path / "dev") == []


def test_a_member_of_another_teacher_gives_other_keys(make: Make, tmp_path: Path) -> None:
    folders = [make("one"), make("two", other=True)]
    before = merged(tmp_path / "both", members(folders))
    assert before.identity == merged(tmp_path / "again", members(folders)).identity
    shutil.rmtree(folders[1])
    make("two", other=True, teacher={"weights": "n" * 32, "config": "c" * 32})
    after = merged(tmp_path / "both", members(folders))
    assert all(before.identity[name] != after.identity[name] for name in before.identity)
    weighed = merged(tmp_path / "weighed", members(folders, weights=[1, 1]))
    assert all(weighed.identity[name] != after.identity[name] for name in after.identity)


def test_an_option_of_a_members_field_changes_that_field_alone(make: Make, tmp_path: Path) -> None:
    folders = [make("one"), make("two", other=True)]
    before = merged(tmp_path / "both", members(folders))
    make("two", other=True, fields={**FLOAT32, "top_spans": {"k": 2}})
    after = merged(tmp_path / "both", members(folders))
    changed = {name for name in before.identity if before.identity[name] != after.identity[name]}
    assert changed == {"top_spans"}


def test_rows_and_fields_added_to_members_touch_no_shard(make: Make, tmp_path: Path) -> None:
    folders = [make("one"), make("two", other=True)]
    merged(tmp_path / "both", members(folders, fields={"span_logits": {}}))
    shards = {
        file: file.stat().st_ino for file in (tmp_path / "both" / "shards").rglob("*") if file.is_file()
    }
    grown = [*NAMES, "a new row", "another"]
    folders = [make("one", names=grown), make("two", other=True, names=grown)]
    manifest = merged(tmp_path / "both", members(folders))
    assert manifest.rows.count == 42
    assert {name: len(field.shards) for name, field in manifest.fields.items()} == {
        "tokens": 2,
        "span_logits": 2,
        "top_spans": 1,
        "qa_attention": 1,
    }
    assert {file: file.stat().st_ino for file in shards} == shards


def test_it_is_made_shard_by_shard_and_repaired(make: Make, tmp_path: Path) -> None:
    of = members([make("one"), make("two", other=True)])
    settings = replace(of.settings, shard_rows=16, block_rows=8)
    whole = fill(plan(tmp_path / "both", of.rows, settings), of)
    asked: list[int] = []

    def watched(rows: np.ndarray, fields: frozenset[str]) -> Mapping[str, Ragged]:
        asked.extend(rows.tolist())
        return of(rows, fields)

    first = tmp_path / "both" / whole.fields["span_logits"].shards[1].file
    first.unlink()
    again = repair(tmp_path / "both", of.rows, settings, watched)
    assert again == whole
    assert len(asked) == 16
    assert verify(tmp_path / "both") == []


def test_what_it_was_made_of_is_written_down(make: Make, tmp_path: Path) -> None:
    folders = [make("one"), make("two", other=True)]
    merged(tmp_path / "both", members(folders))
    manifest = load_manifest(tmp_path / "both")
    described = manifest.settings["merged"]
    assert (described["mean"], described["weights"]) == ("mean_probabilities", [0.75, 0.25])
    assert described["teachers"] == [load_manifest(folder).teacher for folder in folders]
    # The encoding and the layer are the first member's.
    assert manifest.fields["qa_attention"].options == load_manifest(folders[0]).fields["qa_attention"].options
    lines = (tmp_path / "both" / "provenance.jsonl").read_text().splitlines()
    said = json.loads(lines[-1])["run"]["members"]
    assert [member["set"] for member in said] == ["one", "two"]
    assert said[1]["identity"] == load_manifest(folders[1]).identity


def test_other_tokens_are_refused_and_the_remedy_named(make: Make) -> None:
    one = make("one")
    with pytest.raises(
        MismatchError, match=r"two: expected the tokens of .*one .*mean_probabilities: \[\.\.\.\]"
    ):
        members([one, make("two", tokenizer="u" * 32)])


def test_rows_cut_into_other_tokens_are_refused(make: Make, tmp_path: Path) -> None:
    of = members([make("one"), make("two", other=True, moved=True)])
    with pytest.raises(MismatchError, match=r"two: expected the tokens of .*one .*cut elsewhere"):
        merged(tmp_path / "both", of)


def test_missing_fields_splits_and_rows_are_named(make: Make) -> None:
    one = make("one")
    with pytest.raises(CacheError, match=r"two: .* got no qa_attention"):
        members([one, make("two", fields={"span_logits": {}, "top_spans": {}})])
    with pytest.raises(CacheError, match=r"one: .* got no test"):
        members([one, one], splits=["test"])
    with pytest.raises(CacheError, match=r"short: .*1 of 40 rows are missing"):
        members([one, make("short", names=[*NAMES[:34], "else", *NAMES[35:]])])


def test_one_encoding_for_another(make: Make, tmp_path: Path) -> None:
    folders = [make("one"), make("two", other=True)]
    manifest = merged(tmp_path / "both", members(folders, fields={"span_logits": {"dtype": "int8"}}))
    assert manifest.fields["span_logits"].error["start_logits"].maximum < 0.2
    assert manifest.fields["span_logits"].columns[0].dtype == "int8"
