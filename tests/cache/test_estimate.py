"""What a fill will cost, and what would fit a budget."""

import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import yaml

from pipeline.cache.disk import disk_rate
from pipeline.cache.estimate import Estimate, estimate
from pipeline.cache.plan import Plan
from pipeline.cache.propose import propose
from pipeline.errors import CacheError

FIELDS = {"span_logits": {"dtype": "float32"}, "top_spans": {"k": 3}, "qa_attention": {"dtype": "float32"}}


@pytest.fixture
def planned(filling: ModuleType, tmp_path: Path) -> Plan:
    rows = filling.make_rows([f"row {at % 95}" for at in range(100)], longest=120)
    return filling.plan(tmp_path / "cache", rows, filling.make_settings(fields=FIELDS))


@pytest.fixture
def estimated(filling: ModuleType, planned: Plan) -> Estimate:
    return estimate(planned, filling.FakeTeacher(planned.rows), sample_rows=40)


def test_the_teacher_is_timed_and_nothing_is_written(
    filling: ModuleType, planned: Plan, tmp_path: Path
) -> None:
    teacher = filling.FakeTeacher(planned.rows, pause_s=0.05)
    started = time.perf_counter()
    found = estimate(planned, teacher, sample_rows=40)
    assert time.perf_counter() - started < 10
    assert found.rows == 40
    assert 40 / 10 < found.teacher_rate < 40 / 0.05
    assert list(tmp_path.iterdir()) == []
    (warm, _), (asked, _) = teacher.asked
    assert len(warm) == 8
    # Spread over all rows, each input once.
    assert asked[0] == 0
    assert asked[-1] == 94
    assert len(set(asked)) == 40


def test_few_rows_are_all_read(filling: ModuleType, tmp_path: Path) -> None:
    rows = filling.make_rows(["one", "two", "one"])
    planned = filling.plan(tmp_path / "cache", rows, filling.make_settings())
    assert estimate(planned, filling.FakeTeacher(rows)).rows == 2


def test_smaller_encodings_are_smaller_and_less_exact(estimated: Estimate) -> None:
    field = estimated.fields["span_logits"]
    sizes = [field.bytes_per_row[name] for name in ("float32", "float16", "int8")]
    assert sizes == sorted(sizes, reverse=True)
    errors = [
        field.error[name]["start_logits"].largest for name in ("float32", "float16", "bfloat16", "int8")
    ]
    assert errors == sorted(errors)
    assert errors[0] == 0.0
    assert set(estimated.fields["top_spans"].bytes_per_row) == {""}


def test_reading_and_computing_compare(estimated: Estimate) -> None:
    slow = Estimate(1, teacher_rate=10.0, disk_rate=1e6, fields=estimated.fields)
    assert slow.computing_s == pytest.approx(0.1)
    assert slow.reading_s(5e4) == pytest.approx(0.05)


def test_what_float16_cannot_hold_is_no_candidate(filling: ModuleType, planned: Plan) -> None:
    honest = filling.FakeTeacher(planned.rows)

    def loud(asked: np.ndarray, fields: frozenset[str]) -> dict[str, object]:
        answer = honest(asked, fields)
        logits = answer["start_logits"]
        return answer | {"start_logits": type(logits)(logits.values * np.float32(1e5), logits.offsets)}

    found = estimate(planned, loud)
    assert set(found.fields["span_logits"].bytes_per_row) == {"float32", "bfloat16", "int8"}
    narrow = filling.plan(
        planned.folder,
        planned.rows,
        filling.make_settings(fields={**FIELDS, "span_logits": {"dtype": "float16"}}),
    )
    with pytest.raises(CacheError, match="set dtype: float32"):
        estimate(narrow, loud)


def test_a_large_budget_changes_nothing(planned: Plan, estimated: Estimate) -> None:
    proposal = propose(planned, estimated, 1.0)
    assert proposal.fits
    assert proposal.fields == FIELDS
    assert proposal.dropped == ()
    assert all(error.largest == 0.0 for error in proposal.error.values())


def test_a_budget_is_met_step_by_step(planned: Plan, estimated: Estimate) -> None:
    whole = propose(planned, estimated, 1.0).bytes
    for share in (0.9, 0.8, 0.7, 0.6):
        proposal = propose(planned, estimated, share * whole / 1e9)
        assert proposal.fits
        assert proposal.bytes <= share * whole
        assert set(proposal.fields) == set(FIELDS)
        assert any(error.total for error in proposal.error.values())


def test_fields_are_dropped_last_and_tokens_never(planned: Plan, estimated: Estimate) -> None:
    tokens = planned.fields["tokens"].bytes_per_row * 95
    little = propose(planned, estimated, (tokens + 200 * 95) / 1e9)
    assert little.fits
    assert little.dropped
    assert not set(little.dropped) & set(little.fields)
    none = propose(planned, estimated, tokens / 2 / 1e9)
    assert not none.fits
    assert none.fields == {}
    assert "does NOT fit" in none.lines("x")[0]


def test_the_lines_are_params(planned: Plan, estimated: Estimate) -> None:
    lines = propose(planned, estimated, 0.7 * propose(planned, estimated, 1.0).bytes / 1e9).lines("mine")
    parsed = yaml.safe_load("\n".join(lines).replace("targets.mine.fields:", "fields:"))
    assert set(parsed["fields"]) <= set(FIELDS)
    assert any(line.startswith("# start_logits: off by") and "nats a row" in line for line in lines)


def test_the_real_size_is_near(filling: ModuleType, planned: Plan, estimated: Estimate) -> None:
    filling.fill(planned, filling.FakeTeacher(planned.rows))
    values = {
        name: estimated.fields[name].bytes_per_row["float32" if "dtype" in FIELDS[name] else ""] * 95
        for name in FIELDS
    }
    for name, expected in values.items():
        real = sum(file.stat().st_size for file in (planned.folder / "shards" / name).glob("*"))
        # Two small files: their headers count here, and not in a cache of some size.
        assert expected < real < expected + 2 * 4096 + 0.2 * expected


def test_the_disk_is_measured_and_left_as_it_was(tmp_path: Path) -> None:
    rate = disk_rate(tmp_path / "not" / "there" / "yet", size=2**22)
    assert rate > 1e6
    assert list(tmp_path.iterdir()) == []
