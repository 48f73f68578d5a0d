"""Filling a cache: every planned shard that is not there is computed, then the whole is sealed."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from pipeline.cache import BACKENDS
from pipeline.cache.blocks import Encoded, Read, encode_block
from pipeline.cache.columns import TOKEN
from pipeline.cache.encoding import EncodingError
from pipeline.cache.fields import TOKENS
from pipeline.cache.layout import files_in, is_temporary, refuse_foreign
from pipeline.cache.lock import locked
from pipeline.cache.manifest import Manifest, load_manifest
from pipeline.cache.plan import MissingShard, Plan, plan
from pipeline.cache.ragged import Ragged
from pipeline.cache.rows import RowTable
from pipeline.cache.seal import seal
from pipeline.cache.settings import CacheSettings
from pipeline.cache.shard import write_shard
from pipeline.cache.tasks import Task, missing_shards
from pipeline.errors import CacheError, MismatchError

Advance = Callable[[int], None]

# While some wait for the disk, another keeps a core busy.
_WRITERS = 3

# Given a plan of which shards are missing: compute and write them all, wherever that is done.
Compute = Callable[[Plan, Advance], None]


def fill(planned: Plan, read: Read, **options: Any) -> Manifest:
    """Compute every shard that is missing, in this process, and seal the cache.

    Args:
        planned: Says folder, rows and settings.
        read: The teacher.
        options: As of `fill_by`, whose errors are those of this function too.
    """
    return fill_by(planned, partial(_compute_here, read), **options)


def _compute_here(read: Read, planned: Plan, advance: Advance) -> None:
    compute(Task.of(planned, missing_shards(planned)), read, advance)


def fill_by(
    planned: Plan,
    compute_missing: Compute,
    *,
    wait: bool = False,
    budget_gb: float | None = None,
    advance: Advance | None = None,
    run: Mapping[str, Any] | None = None,
    rehash: bool = False,
) -> Manifest:
    """Have every shard that is missing computed, and seal the cache.

    The plan is made again under the lock, so that what another process did meanwhile is not done twice.

    Args:
        planned: Says folder, rows and settings.
        compute_missing: Writes the shards that are missing; not called where there are none.
        wait: Whether to wait for another process that is filling, instead of refusing.
        budget_gb: The size that the cache must not exceed.
        advance: Told how many more inputs the teacher has read, of `planned.pending_rows`.
        run: Facts of this run for the provenance (device, versions, revision).
        rehash: Whether to trust no checksum remembered from before.

    Raises:
        LockedError: Another process is filling.
        CacheError: Disk or budget would be exceeded, the folder holds foreign files, or the teacher's answer
            cannot be stored.
    """
    folder = planned.folder
    with locked(folder, wait=wait):
        started = time.monotonic()
        _remove_temporaries(folder)
        refuse_foreign(folder)
        current = plan(folder, planned.rows, planned.settings, rehash=rehash)
        current.check_budget(budget_gb)
        for file in current.damaged:
            (folder / file).unlink()
        if current.pending_rows:
            compute_missing(current, advance or (lambda count: None))
            # A worker that was killed and its task given to another leaves some too.
            _remove_temporaries(folder)
        changed = current.damaged or current.pending_rows
        done = plan(folder, planned.rows, planned.settings) if changed else current
        facts = {
            "seconds": round(time.monotonic() - started, 3),
            "inputs_read": current.pending_rows,
            "shards_computed": {
                name: len(field.missing) for name, field in current.fields.items() if field.missing
            },
            "damaged_replaced": list(current.damaged),
            "run": dict(run or {}),
        }
        return seal(done, facts)


def repair(folder: Path, rows: RowTable, settings: CacheSettings, read: Read, **options: Any) -> Manifest:
    """Compute damaged and missing shards again, after reading every byte; the rest is not touched.

    Arguments and errors are those of `repair_plan` and `fill`.
    """
    return fill(repair_plan(folder, rows, settings), read, rehash=True, **options)


def repair_plan(folder: Path, rows: RowTable, settings: CacheSettings) -> Plan:
    """What a repair would compute, after reading every byte; to be filled with `rehash`.

    Args:
        folder: The cache's folder.
        rows: The rows it was filled with.
        settings: The settings it was filled with.

    Raises:
        MismatchError: The cache was made with other rows or settings: that is no damage.
        CacheError: As of `plan`.
    """
    try:
        manifest = load_manifest(folder)
    except CacheError:
        manifest = None
    if manifest is not None:
        _check_same(folder, manifest, rows, settings)
    return plan(folder, rows, settings, rehash=True)


def _check_same(folder: Path, manifest: Manifest, rows: RowTable, settings: CacheSettings) -> None:
    made = {name: field.covers for name, field in manifest.fields.items()}
    wanted = {name: settings.fingerprint(name) for name in settings.field_names}
    differing = sorted(name for name in {*made, *wanted} if made.get(name) != wanted.get(name))
    if differing or manifest.rows.order != rows.order.hex():
        raise MismatchError(
            folder,
            expected="the rows and settings that the cache was filled with",
            got=f"other settings of {', '.join(differing)}" if differing else "other rows",
            remedy="run cache_targets, which computes what has changed",
        )


def _remove_temporaries(folder: Path) -> None:
    for file in files_in(folder):
        if is_temporary(file):
            (folder / file).unlink()


@dataclass
class _Pending:
    """A shard of which some blocks have come."""

    shard: MissingShard
    blocks: dict[int, Encoded]


def compute(task: Task, read: Read, advance: Advance) -> None:
    """Compute and write the shards of a task; the teacher reads every block once for all fields that want it.

    Args:
        task: The shards.
        read: The teacher.
        advance: Told how many more inputs the teacher has read, of `task.rows`.

    Raises:
        CacheError: The teacher's answer cannot be stored.
    """
    wanting: dict[bytes, list[tuple[MissingShard, int]]] = {}
    for shard in task.shards:
        for number, rows in enumerate(shard.blocks()):
            wanting.setdefault(rows.tobytes(), []).append((shard, number))
    # One block is encoded while the teacher reads the next, and shards that are whole are written meanwhile.
    with ThreadPoolExecutor(1) as encoder, ThreadPoolExecutor(_WRITERS) as disk:
        writer = _Writer(task, disk)
        under_way: Future[None] | None = None
        for shard in task.shards:
            for rows in shard.blocks():
                wanted = wanting.pop(rows.tobytes(), None)
                if wanted is None:
                    continue
                asked = _asked(task.settings, {shard.field for shard, _ in wanted})
                answer = read(rows, asked)
                if under_way is not None:
                    under_way.result()
                under_way = encoder.submit(writer.accept, rows, wanted, asked, answer)
                advance(len(rows))
        if under_way is not None:
            under_way.result()
        writer.finish()


def _asked(settings: CacheSettings, fields: set[str]) -> frozenset[str]:
    """The fields to ask the teacher for: those wanted, and the tokens where a scale a token needs them."""
    scaled = any(options.get("scale") == "token" for options in map(settings.options, fields))
    return frozenset({*fields, TOKENS} if scaled else fields)


class _Writer:
    """Gathers blocks into shards and has each written once it is whole, a few at a time."""

    def __init__(self, task: Task, disk: Executor) -> None:
        self._task = task
        self._disk = disk
        self._backend = BACKENDS.load(task.settings.backend)()
        self._pending: dict[tuple[str, str], _Pending] = {}
        self._under_way: deque[Future[None]] = deque()

    def accept(
        self,
        rows: Int64[np.ndarray, " block"],
        wanted: list[tuple[MissingShard, int]],
        asked: frozenset[str],
        answer: Mapping[str, Ragged],
    ) -> None:
        """Take what the teacher said of a block, for the shards that want it and the number it has there."""
        # The tokens come first: they say what the extents of a row are.
        fields = [name for name in self._task.settings.field_names if name in asked]
        known = {TOKEN: self._task.lengths_of(rows)}
        encoded = encode_block(self._task.settings, fields, rows, answer, self._name_of, known)
        for shard, number in wanted:
            pending = self._pending.setdefault((shard.field, shard.key), _Pending(shard, {}))
            pending.blocks[number] = encoded[shard.field]
            if len(pending.blocks) * shard.block >= len(shard.rows):
                del self._pending[shard.field, shard.key]
                # Memory holds the shards that are being written, and no more.
                while len(self._under_way) >= _WRITERS:
                    self._under_way.popleft().result()
                self._under_way.append(self._disk.submit(self._write, pending))

    def finish(self) -> None:
        """Wait for the shards that are being written."""
        while self._under_way:
            self._under_way.popleft().result()

    def _write(self, pending: _Pending) -> None:
        blocks = [pending.blocks[number] for number in sorted(pending.blocks)]
        shard = pending.shard
        write_shard(
            self._task.folder,
            self._backend,
            self._task.settings,
            field=shard.field,
            block=shard.block,
            hashes=self._task.hashes_of(shard.rows, shard.field),
            columns={
                name: Ragged.concatenate([block.columns[name] for block in blocks])
                for name in blocks[0].columns
            },
            errors={
                name: EncodingError.sum(block.errors[name] for block in blocks) for name in blocks[0].errors
            },
        )

    def _name_of(self, row: int) -> str:
        return f"row {row} (input {self._task.hashes_of(np.array([row]), TOKENS).tobytes().hex()})"
