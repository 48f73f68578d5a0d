import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from pipeline.cache.fill import fill, repair
from pipeline.cache.lock import locked
from pipeline.cache.manifest import load_manifest
from pipeline.cache.plan import plan
from pipeline.cache.ragged import Ragged
from pipeline.cache.reader import TargetCache
from pipeline.cache.verify import verify
from pipeline.errors import CacheError, LockedError, MismatchError

NAMES = [f"row {at % 95}" for at in range(100)]


def contents(folder: Path) -> dict[str, str]:
    """What every file holds, but for the facts of runs."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file() and file.name not in {"provenance.jsonl", "seal.json"}
    }


def refill(filling: ModuleType, folder: Path, names: list[str] = NAMES, **changes: object) -> ModuleType:
    """Fill again; the teacher, which remembers what it was asked."""
    rows = filling.make_rows(names)
    teacher = filling.FakeTeacher(rows)
    fill(plan(folder, rows, filling.make_settings(**changes)), teacher)
    return teacher


def test_every_input_is_read_once_for_all_fields(filling: ModuleType, tmp_path: Path) -> None:
    teacher = refill(filling, tmp_path / "cache")
    read = [row for rows, _ in teacher.asked for row in rows]
    assert sorted(read) == list(range(95))
    assert {fields for _, fields in teacher.asked} == {frozenset({"tokens", *filling.ALL_FIELDS})}
    assert [len(rows) for rows, _ in teacher.asked] == [16, 16, 16, 16, 16, 15]
    assert verify(tmp_path / "cache") == []


def test_a_second_run_reads_and_writes_nothing(filling: ModuleType, sealed: Path) -> None:
    before = {file: (file.stat().st_mtime_ns, file.stat().st_ino) for file in sealed.rglob("*")}
    teacher = refill(filling, sealed)
    assert teacher.asked == []
    assert {file: (file.stat().st_mtime_ns, file.stat().st_ino) for file in sealed.rglob("*")} == before


def test_equal_runs_are_equal_bytes(filling: ModuleType, sealed: Path, tmp_path: Path) -> None:
    refill(filling, tmp_path / "other")
    assert contents(tmp_path / "other") == contents(sealed)


def test_new_rows_leave_finished_shards_alone(filling: ModuleType, sealed: Path) -> None:
    before = {file: file.stat().st_ino for file in (sealed / "shards").rglob("*.arrow")}
    teacher = refill(filling, sealed, ["new", *NAMES, "newer", "row 3"])
    assert [rows for rows, _ in teacher.asked] == [[0, 101]]
    assert (
        before.items() <= {file: file.stat().st_ino for file in (sealed / "shards").rglob("*.arrow")}.items()
    )
    assert verify(sealed) == []
    assert len(TargetCache.open(sealed)) == 103


def test_a_new_field_leaves_the_others_alone(filling: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    refill(filling, folder, fields={"span_logits": {}})
    before = {file: file.stat().st_ino for file in (folder / "shards").rglob("*.arrow")}
    identity = load_manifest(folder).identity
    teacher = refill(filling, folder)
    assert {fields for _, fields in teacher.asked} == {frozenset({"top_spans", "qa_attention"})}
    after = {file: file.stat().st_ino for file in (folder / "shards").rglob("*.arrow")}
    assert before.items() <= after.items()
    assert identity.items() <= load_manifest(folder).identity.items()
    assert verify(folder) == []


def test_changed_labels_read_nothing(filling: ModuleType, sealed: Path) -> None:
    rows = filling.make_rows(NAMES)
    mended = type(rows)(**{**vars_of(rows), "gold_hash": rows.gold_hash[::-1].copy()})
    identity = load_manifest(sealed).identity
    teacher = filling.FakeTeacher(mended)
    fill(plan(sealed, mended, filling.make_settings()), teacher)
    assert teacher.asked == []
    assert load_manifest(sealed).identity == identity
    assert verify(sealed) == []


def vars_of(rows: object) -> dict[str, object]:
    return {name: getattr(rows, name) for name in rows.__dataclass_fields__}  # type: ignore[attr-defined]


def test_vanished_rows_are_listed_and_found_again(filling: ModuleType, sealed: Path) -> None:
    before = contents(sealed)
    refill(filling, sealed, ["row 94", "other"])
    manifest = load_manifest(sealed)
    assert len(manifest.unreferenced) == 4
    assert verify(sealed) == []
    assert refill(filling, sealed, NAMES).asked == []
    assert (
        contents(sealed).items()
        >= {name: value for name, value in before.items() if name.startswith("shards")}.items()
    )
    assert verify(sealed) == []


def test_a_teacher_and_back_again_reads_nothing(filling: ModuleType, sealed: Path) -> None:
    before = contents(sealed)
    teacher = {"weights": "x" * 32, "config": "c" * 32}
    assert len(refill(filling, sealed, teacher=teacher).asked) == 6
    assert refill(filling, sealed).asked == []
    assert before["rows.arrow"] == contents(sealed)["rows.arrow"]


def test_not_a_number_stops_the_fill_and_names_the_row(filling: ModuleType, tmp_path: Path) -> None:
    rows = filling.make_rows(NAMES)
    teacher = filling.FakeTeacher(rows)

    def sick(asked: np.ndarray, fields: frozenset[str]) -> dict[str, Ragged]:
        answer = teacher(asked, fields)
        if 70 in asked:
            column = answer["end_logits"]
            values = column.values.copy()
            values[column.offsets[asked.tolist().index(70)]] = np.nan
            answer["end_logits"] = Ragged(values, column.offsets)
        return answer

    planned = plan(tmp_path / "cache", rows, filling.make_settings())
    name = rows.input_hash[70].tobytes().hex()
    with pytest.raises(CacheError, match=rf"row 70 \(input {name}\): expected finite end_logits; got nan"):
        fill(planned, sick)
    assert not (tmp_path / "cache" / "manifest.json").exists()
    # What was finished before stays.
    assert [len(rows) for rows, _ in refill(filling, tmp_path / "cache").asked] == [16, 15]


def test_an_error_of_the_teacher_is_passed_on(filling: ModuleType, tmp_path: Path) -> None:
    def broken(asked: np.ndarray, fields: frozenset[str]) -> dict[str, Ragged]:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        fill(plan(tmp_path / "cache", filling.make_rows(NAMES), filling.make_settings()), broken)


def test_a_field_that_disagrees_with_the_tokens_is_not_sealed(filling: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    refill(filling, folder, fields={})
    rows = filling.make_rows(NAMES)
    longer = type(rows)(**{**vars_of(rows), "length": rows.length + 1})
    planned = plan(folder, rows, filling.make_settings(fields={"span_logits": {}}))
    with pytest.raises(CacheError, match=r"row 0: expected \d+ values of start_logits \(passage\)"):
        fill(planned, filling.FakeTeacher(longer))


def test_temporaries_of_a_killed_run_are_removed(filling: ModuleType, sealed: Path) -> None:
    left = sealed / "shards" / "tokens" / f".{'0' * 32}.tmp"
    left.write_bytes(b"half")
    refill(filling, sealed)
    assert not left.exists()


def test_a_foreign_file_stops_the_fill(filling: ModuleType, sealed: Path) -> None:
    (sealed / "notes.txt").write_text("mine")
    with pytest.raises(CacheError, match=r"notes\.txt: expected nothing but .* move it out"):
        refill(filling, sealed)
    assert (sealed / "notes.txt").read_text() == "mine"


def test_provenance_has_a_line_a_run_that_did_something(filling: ModuleType, sealed: Path) -> None:
    refill(filling, sealed)
    refill(filling, sealed, [*NAMES, "new"])
    lines = [json.loads(line) for line in (sealed / "provenance.jsonl").read_text().splitlines()]
    assert [line["inputs_read"] for line in lines] == [95, 1]
    assert lines[1]["shards_computed"] == dict.fromkeys(["tokens", *sorted(filling.ALL_FIELDS)], 1)


def test_progress_is_told_in_inputs(filling: ModuleType, tmp_path: Path) -> None:
    rows = filling.make_rows(NAMES)
    planned = plan(tmp_path / "cache", rows, filling.make_settings())
    told: list[int] = []
    fill(planned, filling.FakeTeacher(rows), advance=told.append)
    assert sum(told) == planned.pending_rows == 95


def test_facts_of_the_caller_are_kept(filling: ModuleType, tmp_path: Path) -> None:
    rows = filling.make_rows(["a"])
    fill(
        plan(tmp_path / "cache", rows, filling.make_settings()),
        filling.FakeTeacher(rows),
        run={"device": "cpu"},
    )
    assert json.loads((tmp_path / "cache" / "provenance.jsonl").read_text())["run"] == {"device": "cpu"}


def test_a_second_filler_is_refused(filling: ModuleType, tmp_path: Path) -> None:
    with locked(tmp_path / "cache"), pytest.raises(LockedError, match=r"got process \d+ at it"):
        refill(filling, tmp_path / "cache")


def test_a_second_filler_that_waits_finds_all_done(filling: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    rows = filling.make_rows(NAMES)
    early = plan(folder, rows, filling.make_settings())
    refill(filling, folder)
    teacher = filling.FakeTeacher(rows)
    fill(early, teacher, wait=True)
    assert teacher.asked == []


def test_the_error_of_encodings_is_recorded(filling: ModuleType, sealed: Path) -> None:
    error = load_manifest(sealed).fields["span_logits"].error["start_logits"]
    rows = filling.make_rows(NAMES)
    given = filling.FakeTeacher(rows)(rows.first, frozenset({"span_logits"}))["start_logits"].values
    gap = np.abs(given.astype(np.float16).astype(np.float32) - given)
    assert error.maximum == pytest.approx(float(gap.max()))
    assert error.mean == pytest.approx(float(gap.mean()))
    assert 0 < error.kl < 1e-4


# Repair


def shard_of(folder: Path, field: str, at: int = 0) -> Path:
    return folder / load_manifest(folder).fields[field].shards[at].file


def flip(file: Path, bit: int | None = None) -> None:
    data = bytearray(file.read_bytes())
    bit = len(data) * 4 if bit is None else bit
    data[bit // 8] ^= 1 << bit % 8
    file.write_bytes(data)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "flipped shard": lambda folder: flip(shard_of(folder, "span_logits")),
    "cut shard": lambda folder: shard_of(folder, "span_logits").write_bytes(b"short"),
    "missing shard": lambda folder: shard_of(folder, "span_logits").unlink(),
    "flipped manifest": lambda folder: flip(folder / "manifest.json"),
    "missing manifest": lambda folder: (folder / "manifest.json").unlink(),
    "flipped rows": lambda folder: flip(folder / "rows.arrow"),
    "missing rows": lambda folder: (folder / "rows.arrow").unlink(),
    "flipped seal": lambda folder: flip(folder / "seal.json"),
    "missing seal": lambda folder: (folder / "seal.json").unlink(),
    "flipped provenance": lambda folder: flip(folder / "provenance.jsonl"),
    "missing provenance": lambda folder: (folder / "provenance.jsonl").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_repair_restores_every_byte_and_reads_no_more_than_it_must(
    filling: ModuleType, sealed: Path, damage: str
) -> None:
    before = contents(sealed)
    DAMAGES[damage](sealed)
    assert verify(sealed) != []
    rows = filling.make_rows(NAMES)
    teacher = filling.FakeTeacher(rows)
    repair(sealed, rows, filling.make_settings(), teacher)
    assert verify(sealed) == []
    assert contents(sealed) == before
    shard = damage.endswith("shard")
    assert [fields for _, fields in teacher.asked] == [frozenset({"span_logits"})] * (4 if shard else 0)


def test_repair_of_a_shard_that_grew_by_pieces(filling: ModuleType, sealed: Path) -> None:
    refill(filling, sealed, ["new", *NAMES, "newer"])
    before = contents(sealed)
    flip(shard_of(sealed, "qa_attention", 0))
    shard_of(sealed, "tokens", 2).unlink()
    rows = filling.make_rows(["new", *NAMES, "newer"])
    repair(sealed, rows, filling.make_settings(), filling.FakeTeacher(rows))
    assert contents(sealed) == before


def test_repair_of_another_cache_is_refused(filling: ModuleType, sealed: Path) -> None:
    rows = filling.make_rows(NAMES)
    settings = filling.make_settings(tokenizer="x" * 32)
    with pytest.raises(MismatchError, match=r"other settings of qa_attention, span_logits, tokens"):
        repair(sealed, rows, settings, filling.FakeTeacher(rows))
    fewer = filling.make_rows(NAMES[:-1])
    with pytest.raises(MismatchError, match="got other rows; run cache_targets"):
        repair(sealed, fewer, filling.make_settings(), filling.FakeTeacher(fewer))
