"""Missing shards as tasks: what must be computed together, and all that it takes beside a teacher."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int32, Int64, UInt8

from pipeline.cache.fields import is_of_gold
from pipeline.cache.plan import MissingShard, Plan
from pipeline.cache.rows import with_gold
from pipeline.cache.settings import CacheSettings


@dataclass(frozen=True)
class Task:
    """Shards to be computed, small enough to be sent to another machine.

    Args:
        folder: The cache's folder.
        settings: What it is made with.
        shards: The shards.
        rows: The rows that the teacher must read for them, sorted.
        hashes: The input hashes of these rows.
        gold_hashes: Those of their labels.
        lengths: Their tokens, special ones included.
    """

    folder: Path
    settings: CacheSettings
    shards: tuple[MissingShard, ...]
    rows: Int64[np.ndarray, " rows"]
    hashes: UInt8[np.ndarray, "rows 16"]
    gold_hashes: UInt8[np.ndarray, "rows 16"]
    lengths: Int32[np.ndarray, " rows"]

    @classmethod
    def of(cls, planned: Plan, shards: Sequence[MissingShard]) -> "Task":
        """The task of computing `shards`, of which there is at least one."""
        rows = np.unique(np.concatenate([shard.rows for shard in shards]))
        table = planned.rows
        return cls(
            planned.folder,
            planned.settings,
            tuple(shards),
            rows,
            table.input_hash[rows],
            table.gold_hash[rows],
            table.length[rows],
        )

    @property
    def is_of_gold(self) -> bool:
        """Whether some of the shards depend on labels."""
        return any(is_of_gold(shard.field) for shard in self.shards)

    def hashes_of(self, rows: Int64[np.ndarray, " wanted"], field: str) -> UInt8[np.ndarray, "wanted 16"]:
        """What a field's shards know some of the task's rows by."""
        at = np.searchsorted(self.rows, rows)
        if is_of_gold(field):
            return with_gold(self.hashes[at], self.gold_hashes[at])
        return self.hashes[at]

    def lengths_of(self, rows: Int64[np.ndarray, " wanted"]) -> Int64[np.ndarray, " wanted"]:
        """The tokens of some of the task's rows."""
        return self.lengths[np.searchsorted(self.rows, rows)].astype(np.int64)


def missing_shards(planned: Plan) -> list[MissingShard]:
    """All shards that are missing, in the order in which they are computed."""
    shards = [shard for field in planned.fields.values() for shard in field.missing]
    return sorted(shards, key=lambda shard: (int(shard.rows[0]), -len(shard.rows)))


def groups(planned: Plan) -> list[Task]:
    """The missing shards as tasks that no two of which share a block, as small as that allows.

    The teacher reads a block once for all fields, so shards that share one are one task.
    """
    shards = missing_shards(planned)
    parent = list(range(len(shards)))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    first: dict[bytes, int] = {}
    for at, shard in enumerate(shards):
        for rows in shard.blocks():
            # The lowest number stands for its group, so that groups come in the order of the shards.
            here, there = sorted((root(at), root(first.setdefault(rows.tobytes(), at))))
            parent[there] = here
    together: dict[int, list[MissingShard]] = {}
    for at, shard in enumerate(shards):
        together.setdefault(root(at), []).append(shard)
    return [Task.of(planned, members) for _, members in sorted(together.items())]
