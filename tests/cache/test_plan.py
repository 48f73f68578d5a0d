from pathlib import Path
from types import ModuleType

import pytest

from pipeline.cache.plan import Plan, plan
from pipeline.errors import CacheError, ParamsError

FIELDS = {"tokens", "span_logits", "top_spans", "qa_attention"}


def hundred(filling: ModuleType) -> list[str]:
    return [f"row {at % 95}" for at in range(100)]


def counts(planned: Plan) -> set[tuple[int, int]]:
    """Kept and missing shards of the fields."""
    return {(len(field.kept), len(field.missing)) for field in planned.fields.values()}


def test_nothing_is_there(filling: ModuleType, tmp_path: Path) -> None:
    rows = filling.make_rows(hundred(filling))
    planned = plan(tmp_path / "cache", rows, filling.make_settings())
    assert counts(planned) == {(0, 2)}
    assert planned.pending_rows == 95
    assert list(tmp_path.iterdir()) == []
    shards = planned.fields["span_logits"].missing
    assert [len(shard.rows) for shard in shards] == [64, 31]
    assert [len(block) for block in shards[1].blocks()] == [16, 15]


def test_everything_is_there(filling: ModuleType, sealed: Path) -> None:
    planned = plan(sealed, filling.make_rows(hundred(filling)), filling.make_settings())
    assert counts(planned) == {(2, 0)}
    assert planned.pending_rows == planned.missing_bytes == 0


def test_the_order_of_rows_moves_no_shard(filling: ModuleType, sealed: Path) -> None:
    planned = plan(sealed, filling.make_rows(hundred(filling)[::-1]), filling.make_settings())
    assert counts(planned) == {(2, 0)}


def test_a_row_at_the_front_of_ten_thousand_is_one_shard(filling: ModuleType, tmp_path: Path) -> None:
    names = [f"row {at}" for at in range(10_000)]
    settings = filling.make_settings(shard_rows=4096, block_rows=1024)
    rows = filling.make_rows(names)
    filling.fill(plan(tmp_path / "cache", rows, settings), filling.FakeTeacher(rows))
    grown = filling.make_rows(["new", *names])
    planned = plan(tmp_path / "cache", grown, settings)
    assert counts(planned) == {(3, 1)}
    assert all(shard.rows.tolist() == [0] for field in planned.fields.values() for shard in field.missing)
    teacher = filling.FakeTeacher(grown)
    filling.fill(planned, teacher)
    assert teacher.asked == [([0], frozenset(FIELDS))]


@pytest.mark.parametrize(
    "change",
    [
        {"teacher": {"weights": "x" * 32, "config": "c" * 32}},
        {"tokenizer": "x" * 32},
        {"numbers": {"max_length": 65}},
    ],
    ids=["teacher", "tokenizer", "numbers"],
)
def test_another_teacher_is_another_cache(
    filling: ModuleType, sealed: Path, change: dict[str, object]
) -> None:
    planned = plan(sealed, filling.make_rows(hundred(filling)), filling.make_settings(**change))
    assert counts(planned) == {(0, 2)}
    assert len(planned.unreferenced) == 8


def test_another_option_is_another_shard_of_that_field_alone(filling: ModuleType, sealed: Path) -> None:
    fields = {**filling.ALL_FIELDS, "span_logits": {"dtype": "float32"}}
    planned = plan(sealed, filling.make_rows(hundred(filling)), filling.make_settings(fields=fields))
    assert {name for name, field in planned.fields.items() if field.missing} == {"span_logits"}


def test_shards_are_found_without_a_manifest(filling: ModuleType, sealed: Path) -> None:
    for name in ("manifest.json", "seal.json", "rows.arrow"):
        (sealed / name).unlink()
    assert counts(plan(sealed, filling.make_rows(hundred(filling)), filling.make_settings())) == {(2, 0)}


def test_sizes_are_said(filling: ModuleType, sealed: Path) -> None:
    rows = filling.make_rows([*hundred(filling), *(f"new {at}" for at in range(50))])
    summary = plan(sealed, rows, filling.make_settings()).summary()
    assert summary["unique_inputs"] == 145
    assert summary["inputs_to_read"] == 50
    parts = summary["fields"].values()
    assert summary["bytes_to_write"] == sum(part["bytes_to_write"] for part in parts)
    on_disk = sum(file.stat().st_size for file in (sealed / "shards").rglob("*.arrow"))
    assert summary["bytes_in_all"] == on_disk + summary["bytes_to_write"]


def test_a_budget_is_kept_before_the_first_byte(filling: ModuleType, tmp_path: Path) -> None:
    rows = filling.make_rows(hundred(filling))
    planned = plan(tmp_path / "cache", rows, filling.make_settings())
    with pytest.raises(CacheError, match=r"at most 1e-06 GB, the budget; got .* GB planned; raise budget_gb"):
        filling.fill(planned, filling.FakeTeacher(rows), budget_gb=1e-6)
    assert not (tmp_path / "cache").exists()


def test_a_full_disk_is_seen_before_the_first_byte(
    filling: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = filling.make_rows(hundred(filling))
    monkeypatch.setattr("pipeline.cache.plan._free_bytes", lambda folder: 1000)
    with pytest.raises(CacheError, match=r"of free disk; got 1e-06 GB; free some disk"):
        filling.fill(plan(tmp_path / "cache", rows, filling.make_settings()), filling.FakeTeacher(rows))
    assert not (tmp_path / "cache").exists()


def test_no_rows_are_refused(filling: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="rows to cache; got none"):
        plan(tmp_path / "cache", filling.make_rows([], []), filling.make_settings())


def test_an_unknown_backend_is_refused(filling: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="did you mean 'arrow'"):
        plan(tmp_path / "cache", filling.make_rows(["a"]), filling.make_settings(backend="arow"))
