import pickle
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from pipeline.cache.fill import compute, fill, fill_by
from pipeline.cache.plan import Plan, plan
from pipeline.cache.tasks import Task, groups, missing_shards
from pipeline.fingerprint import digest


def blocks_of(task: Task) -> set[bytes]:
    return {block.tobytes() for shard in task.shards for block in shard.blocks()}


@pytest.fixture
def planned(filling: ModuleType, tmp_path: Path) -> Plan:
    rows = filling.make_rows([f"row {at % 190}" for at in range(200)])
    # Attention fills a shard with fewer rows than the other fields.
    return plan(tmp_path / "cache", rows, filling.make_settings(shard_bytes=1600))


def test_groups_share_no_block_and_miss_no_shard(planned: Plan) -> None:
    tasks = groups(planned)
    assert len(tasks) > 2
    assert any(len(task.shards) > len(planned.fields) for task in tasks)
    shards = [(shard.field, shard.key) for task in tasks for shard in task.shards]
    assert sorted(shards) == sorted((shard.field, shard.key) for shard in missing_shards(planned))
    every = [block for task in tasks for block in blocks_of(task)]
    assert len(every) == len(set(every))


def test_a_group_is_as_small_as_can_be(filling: ModuleType, tmp_path: Path) -> None:
    rows = filling.make_rows([f"row {at}" for at in range(200)])
    planned = plan(tmp_path, rows, filling.make_settings())
    # 64 rows a shard, in every field: a group is one shard of each.
    assert [len(task.shards) for task in groups(planned)] == [4] * 4
    assert [len(task.rows) for task in groups(planned)] == [64, 64, 64, 8]


def test_tasks_done_apart_and_elsewhere_give_the_same_bytes(
    filling: ModuleType, planned: Plan, tmp_path: Path
) -> None:
    teacher = filling.FakeTeacher(planned.rows)
    manifest = fill(plan(tmp_path / "whole", planned.rows, planned.settings), teacher)

    def elsewhere(planned: Plan, advance: object) -> None:
        for task in reversed(groups(planned)):
            compute(pickle.loads(pickle.dumps(task)), teacher, advance)
            # What a killed worker leaves.
            (planned.folder / "shards" / ".0123.tmp").write_bytes(b"half")

    read: list[int] = []
    assert fill_by(planned, elsewhere, advance=read.append) == manifest
    assert sum(read) == planned.pending_rows == 190
    for file in manifest.files():
        assert (planned.folder / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    assert not list(planned.folder.rglob("*.tmp"))


def test_hashes_of_rows(planned: Plan) -> None:
    task = groups(planned)[1]
    rows = task.rows[[3, 0]]
    np.testing.assert_array_equal(task.hashes_of(rows, "top_spans"), planned.rows.input_hash[rows])
    with_gold = [
        digest([planned.rows.input_hash[row].tobytes(), planned.rows.gold_hash[row].tobytes()])
        for row in rows
    ]
    assert [known.tobytes() for known in task.hashes_of(rows, "end_rows")] == with_gold
