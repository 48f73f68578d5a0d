from pathlib import Path
from types import ModuleType

import pytest

from pipeline.cache.checksum import file_checksum
from pipeline.cache.manifest import load_manifest
from pipeline.cache.reader import TargetCache
from pipeline.cache.seal import write_sealed
from pipeline.cache.stored_rows import Places, load_rows, write_rows
from pipeline.cache.verify import verify


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 16
    file.write_bytes(data)


def shard_of(folder: Path, field: str) -> Path:
    return folder / load_manifest(folder).fields[field].shards[0].file


def test_a_whole_cache_has_no_problems(sealed: Path) -> None:
    assert verify(sealed) == []


def test_every_file_counts(sealed: Path) -> None:
    for file in sorted(file for file in sealed.rglob("*") if file.is_file()):
        whole = file.read_bytes()
        flip(file)
        problems = verify(sealed)
        named = {Path(problem.file) for problem in problems}
        assert file in named or (file.name == "seal.json" and named)
        assert all(problem.remedy and problem.expected and problem.got for problem in problems)
        file.write_bytes(whole)
    assert verify(sealed) == []


def test_all_damage_is_reported_at_once(sealed: Path) -> None:
    flipped, missing, foreign = shard_of(sealed, "tokens"), shard_of(sealed, "top_spans"), sealed / "more"
    flip(flipped)
    missing.unlink()
    foreign.write_text("?")
    problems = verify(sealed)
    assert {Path(problem.file) for problem in problems} == {flipped, missing, foreign}
    assert "no such file" in {problem.got for problem in problems}


def test_shards_are_checked_without_a_manifest(sealed: Path) -> None:
    flipped = shard_of(sealed, "tokens")
    flip(flipped)
    (sealed / "manifest.json").write_text("{}")
    assert {Path(problem.file) for problem in verify(sealed)} == {sealed / "manifest.json", flipped}


def test_unreferenced_shards_count(filling: ModuleType, sealed: Path) -> None:
    rows = filling.make_rows(["row 94"])
    filling.fill(filling.plan(sealed, rows, filling.make_settings()), filling.FakeTeacher(rows))
    loose = sealed / load_manifest(sealed).unreferenced[0].file
    flip(loose)
    assert [Path(problem.file) for problem in verify(sealed)] == [loose]


def test_rot_that_left_no_trace_is_seen(sealed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = shard_of(sealed, "top_spans")
    flip(damaged)
    # What is remembered of the file says that it is as it was.
    monkeypatch.setattr("pipeline.cache.stamps.Stamps.checksum", lambda self, path: remembered(path))
    assert [Path(problem.file) for problem in verify(sealed)] == [damaged]


def remembered(path: Path) -> str:
    return path.stem.split("-")[-1]


def test_no_cache_is_a_problem(tmp_path: Path) -> None:
    (problem,) = verify(tmp_path / "absent")
    assert str(problem).endswith(
        "expected a target cache; got no such folder; run cache_targets, or check the path"
    )


def test_rows_with_the_values_of_others_are_seen(sealed: Path) -> None:
    manifest = load_manifest(sealed)
    stored = load_rows(sealed, manifest)
    places = stored.places["span_logits"]
    index = places.index.copy()
    index[[0, 1]] = index[[1, 0]]
    (sealed / "rows.arrow").unlink()
    write_rows(
        sealed / "rows.arrow", stored.rows, {**stored.places, "span_logits": Places(places.shard, index)}
    )
    entry = manifest.rows.model_copy(update={"xxh3": file_checksum(sealed / "rows.arrow")})
    write_sealed(sealed, manifest.model_copy(update={"rows": entry}))
    TargetCache.open(sealed)
    (problem,) = verify(sealed)
    assert (problem.expected, problem.got) == ("row 0 at index 1", "another input")


def test_a_made_up_identity_is_seen(sealed: Path) -> None:
    manifest = load_manifest(sealed)
    field = manifest.fields["tokens"].model_copy(update={"identity": "0" * 32})
    write_sealed(sealed, manifest.model_copy(update={"fields": {**manifest.fields, "tokens": field}}))
    (problem,) = verify(sealed)
    assert problem.got == "0" * 32
