"""A deterministic teacher without a model, and fills in child processes that can be killed."""

import hashlib
import json
import os
import signal
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.cache import BACKENDS
from pipeline.cache.columns import FLOATING, Column
from pipeline.cache.fill import fill
from pipeline.cache.plan import plan
from pipeline.cache.ragged import Ragged
from pipeline.cache.rows import RowTable
from pipeline.cache.settings import CacheSettings
from pipeline.errors import LockedError

ALL_FIELDS = {"span_logits": {}, "top_spans": {"k": 3}, "qa_attention": {"layer": -2}}

# What is filled in child processes.
KILLED_NAMES = [f"row {at % 190}" for at in range(200)]


def name_hash(name: str) -> bytes:
    return hashlib.md5(name.encode()).digest()


def make_rows(names: list[str], splits: list[str] | None = None, longest: int = 12) -> RowTable:
    """Rows whose input is their name; lengths follow from it."""
    hashes = [name_hash(name) for name in names]
    return RowTable.build(
        input_hashes=hashes,
        gold_hashes=[name_hash(f"gold {name}") for name in names],
        lengths=[3 + value[0] % longest + value[1] % 5 for value in hashes],
        question_lengths=[1 + value[1] % 5 for value in hashes],
        splits=splits or ["train"] * len(names),
    )


def make_settings(**changes: object) -> CacheSettings:
    """Small shards: 64 rows at most, blocks of 16."""
    values = {
        "teacher": {"weights": "w" * 32, "config": "c" * 32},
        "tokenizer": "t" * 32,
        "numbers": {"max_length": 64},
        "fields": ALL_FIELDS,
        "shard_rows": 64,
        "block_rows": 16,
    }
    return CacheSettings(**(values | changes))  # type: ignore[arg-type]


@dataclass
class FakeTeacher:
    """Says of an input what its hash says; remembers what it was asked."""

    rows: RowTable
    asked: list[tuple[list[int], frozenset[str]]] = field(default_factory=list)
    pause_s: float = 0.0
    k: int = 3

    def __call__(self, rows: np.ndarray, fields: frozenset[str]) -> dict[str, Ragged]:
        self.asked.append((rows.tolist(), fields))
        time.sleep(self.pause_s)
        question = self.rows.question_length[rows].astype(np.int64)
        passage = self.rows.length[rows] - question - 2
        seed = self.rows.input_hash[rows, 2:4].astype(np.float64) @ np.array([1.0, 0.37])
        columns: dict[str, Ragged] = {}
        if "tokens" in fields:
            columns["passage_offsets"] = self._spans(passage)
            columns["question_offsets"] = self._spans(question)
        if "span_logits" in fields:
            columns["start_logits"] = self._waves(seed, passage, 9.0)
            columns["end_logits"] = self._waves(seed + 1, passage, 7.0)
        if "top_spans" in fields:
            spans = np.minimum(passage, self.k)
            columns["top_starts"] = self._counting(spans)
            columns["top_ends"] = self._counting(spans)
            columns["top_log_probs"] = self._waves(seed + 2, spans, -1.0)
        if "qa_attention" in fields:
            columns["qa_attention"] = self._waves(seed + 3, passage * question, 1.0)
        return columns

    @staticmethod
    def _offsets(lengths: np.ndarray) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(lengths)])

    def _spans(self, lengths: np.ndarray) -> Ragged:
        counting = self._counting(lengths).values
        values = np.stack([counting * 2, counting * 2 + 1], axis=1).reshape(-1).astype(np.int32)
        return Ragged(values, 2 * self._offsets(lengths))

    def _counting(self, lengths: np.ndarray) -> Ragged:
        offsets = self._offsets(lengths)
        values = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
        return Ragged(values.astype(np.int32), offsets)

    def _waves(self, seed: np.ndarray, lengths: np.ndarray, size: float) -> Ragged:
        counting = self._counting(lengths)
        values = size * np.sin(np.repeat(seed, lengths) + 0.7 * counting.values)
        return Ragged(values.astype(np.float32), counting.offsets)


REFUSED = 3


@dataclass
class ShapedTeacher:
    """Says numbers that follow from the row and the place, in columns shaped as settings have them."""

    rows: RowTable
    settings: CacheSettings

    def __call__(self, rows: np.ndarray, fields: frozenset[str]) -> dict[str, Ragged]:
        columns: dict[str, Ragged] = {}
        if "tokens" in fields:
            columns |= FakeTeacher(self.rows)(rows, frozenset({"tokens"}))
        for name in sorted(fields - {"tokens"}):
            for column in self.settings.given(name):
                blocks = [self.block(column, int(row)) for row in rows]
                dtype = np.float32 if column.dtype == FLOATING else column.dtype
                columns[column.name] = Ragged.from_rows([block.ravel() for block in blocks], dtype)
        return columns

    def block(self, column: Column, row: int) -> np.ndarray:
        """What is said of a row."""
        length = int(self.rows.length[row])
        passage = length - int(self.rows.question_length[row]) - 2
        extents = {
            "token": length,
            "token_pairs": length * (length + 1) // 2,
            "passage": passage,
            "start": min(2, passage),
            "gold": int(passage > 0 and self.rows.gold_hash[row, 0] % 2),
            **column.fixed,
        }
        shape = [extents[axis] for axis in column.axes]
        if column.dtype != FLOATING:
            return np.arange(np.prod(shape), dtype=column.dtype).reshape(shape)
        seed = int(self.rows.input_hash[row, 3]) + len(column.name)
        return np.sin(seed + 0.7 * np.arange(np.prod(shape))).astype(np.float32).reshape(shape)


def child(folder: Path, rows: RowTable, backend: str, *, wait: bool = False) -> int:
    """Fill `folder` in a process of its own, whose id is returned at once."""
    pid = os.fork()
    if pid == 0:
        try:
            settings = make_settings(backend=backend)
            fill(plan(folder, rows, settings), FakeTeacher(rows, pause_s=0.002), wait=wait)
        except LockedError:
            os._exit(REFUSED)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return pid


def ends_within(pid: int, seconds: float) -> bool:
    """Whether a child has ended well before it was killed after `seconds`."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            if status:
                raise SystemExit(f"a fill that nobody killed ended with {status}")
            return True
        time.sleep(0.0005)
    os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1] == 0


def killed(folder: Path, rows: RowTable, backend: str, kills: int, seed: int) -> dict[str, Any]:
    """Fill one cache undisturbed, and others that are killed `kills` times in all and resumed until whole."""
    generator = np.random.default_rng(seed)
    started = time.monotonic()
    ends_within(child(folder / "whole", rows, backend), 60)
    lasts = time.monotonic() - started
    done = 0
    caches: list[str] = []
    while done < kills:
        caches.append(f"killed_{len(caches)}")
        cache = folder / caches[-1]
        while not ends_within(
            child(cache, rows, backend), generator.uniform(0, lasts) if done < kills else 60
        ):
            done += 1
    return {"killed": done, "caches": caches}


def together(folder: Path, rows: RowTable, backend: str, *, wait: bool) -> list[int]:
    """Fill one cache by two processes at once; how each ended."""
    pids = [child(folder, rows, backend, wait=wait) for _ in range(2)]
    return sorted(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids)


def main(folder: Path, backend: str, kills: int, seed: int) -> None:
    rows = make_rows(KILLED_NAMES)
    BACKENDS.load(backend)  # imported once, not in every child
    told = killed(folder, rows, backend, kills, seed)
    told["refusing"] = together(folder / "refusing", rows, backend, wait=False)
    told["waiting"] = together(folder / "waiting", rows, backend, wait=True)
    print(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
