"""Filling a cache on many workers: each keeps its teacher loaded and writes whole shards."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import torch

from pipeline import fingerprint
from pipeline.cache.fill import compute
from pipeline.cache.plan import Plan
from pipeline.cache.ragged import Ragged
from pipeline.cache.settings import CacheSettings
from pipeline.cache.tasks import Task, groups
from pipeline.errors import CacheError, MismatchError
from pipeline.files import TEMPORARY
from pipeline.inference.folders import contents
from pipeline.inference.run_facts import run_facts
from pipeline.inference.teacher import SpanTeacher, TokenCount
from pipeline.inference.workers import Place, Workers
from pipeline.schema import Passage
from pipeline.tables import read_rows
from pipeline.text.tokenizers import Encoder


@dataclass(frozen=True)
class Source:
    """Where a worker finds what it reads and who reads it; the paths are the same on all machines.

    Args:
        teacher: The folder of the model itself.
        passages: The folder of passages.
        splits: Those that are read, in order.
        fields: The target fields with their options.
        numbers: All other settings that change numbers.
    """

    teacher: Path
    passages: Path
    splits: tuple[str, ...]
    fields: Mapping[str, Mapping[str, Any]]
    numbers: Mapping[str, Any]

    def key(self, settings: CacheSettings, order: str) -> str:
        """What a loaded teacher and its rows stand for, so that they can be used again."""
        made_of = [str(self.teacher), str(self.passages), *self.splits, order, settings.tokenizer]
        return json.dumps([made_of, settings.teacher, self.fields, self.numbers], sort_keys=True)


class Spread:
    """Computes what a plan misses on workers.

    Args:
        workers: The workers.
        source: What they read.

    Attributes:
        rows_read: How many rows they have read.
        tokens: How many tokens.
    """

    def __init__(self, workers: Workers, source: Source) -> None:
        self.rows_read, self.tokens = 0, TokenCount(0, 0)
        self._workers, self._source = workers, source

    def __call__(self, planned: Plan, advance: Callable[[int], None]) -> None:
        """Have the missing shards computed and written.

        Raises:
            CacheError: A worker does not see the cache's folder, or as of `pipeline.cache.fill.compute`.
            MismatchError: A worker sees another teacher or other rows than this process.
            PipelineError: The workers are lost.
        """
        self._check_shared(planned.folder)
        shared = (self._source, planned.rows.order.hex())
        tasks = groups(planned)
        counts = self._workers.run(fill_task, shared, tasks, advance)
        self.rows_read += sum(len(task.rows) for task in tasks)
        self.tokens = TokenCount(*(sum(parts) for parts in zip(self.tokens, *counts, strict=True)))

    def facts(self) -> dict[str, Any]:
        """Facts of the workers for the cache's provenance."""
        facts = self._workers.everywhere(run_facts)
        devices = sorted({fact["device"] for fact in facts})
        return {
            **facts[0],
            "device": ", ".join(devices),
            "threads": self._workers.threads,
            "workers": len(facts),
        }

    def _check_shared(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # A file whose name says that it may be removed, should this process die here.
        token = folder / f".{uuid4().hex}{TEMPORARY}"
        token.touch()
        try:
            blind = self._workers.everywhere(_is_there, token).count(False)
        finally:
            token.unlink()
        if blind:
            raise CacheError(
                folder,
                expected="a folder that all workers share under this path",
                got=f"{blind} that do not see what is written here",
                remedy="put the project on a file system that all machines mount under the same path",
            )


def _is_there(path: Path) -> bool:
    return path.exists()


def fill_task(shared: tuple[Source, str], task: Task, place: Place) -> TokenCount:
    """On a worker: compute and write a task's shards; the tokens that were read for it.

    Raises:
        MismatchError: Teacher or rows are not those of the plan.
        CacheError: As of `pipeline.cache.fill.compute`.
    """
    torch.set_num_threads(place.threads)
    if place.number is not None and torch.cuda.is_available():
        torch.cuda.set_device(place.number % torch.cuda.device_count())
    reader = _loaded(*shared, task.settings)
    try:
        reader.check(task)
    except MismatchError:
        # Once the folder is mended, it must be read again.
        _kept.clear()
        raise
    before = reader.teacher.tokens
    compute(task, reader, place.report)
    after = reader.teacher.tokens
    return TokenCount(after.real - before.real, after.padded - before.padded)


class _Reader:
    """The teacher on a worker, with the texts that it reads."""

    def __init__(self, source: Source, settings: CacheSettings) -> None:
        held = contents(source.teacher)
        self._encoder = Encoder.open(source.teacher)
        got = {"weights": held.weights, "config": held.config}
        if got != settings.teacher or self._encoder.fingerprint != settings.tokenizer:
            raise MismatchError(
                source.teacher,
                expected="the teacher that the cache was planned with",
                got="another one under this path on a worker",
                remedy="give all machines the same folder",
            )
        self._source = source
        self._passages = [
            row for split in source.splits for row in read_rows(source.passages / f"{split}.arrow", Passage)
        ]

    @cached_property
    def teacher(self) -> SpanTeacher:
        """The teacher, loaded on first use."""
        numbers = self._source.numbers
        return SpanTeacher.open(
            self._source.teacher,
            max_length=numbers["max_length"],
            fields=self._source.fields,
            batch_tokens=numbers["batch_tokens"],
            autocast=numbers["autocast"],
        )

    def check(self, task: Task) -> None:
        """Stop where the rows are not those of the plan."""
        passages = self._at(task.rows)
        same = len(passages) == len(task.rows) and all(
            fingerprint.input_hash(row.question, row.text) == expected.tobytes()
            for row, expected in zip(passages, task.hashes, strict=True)
        )
        if same and task.is_of_gold:
            same = all(
                fingerprint.gold_hash(row.answers, row.labels) == expected.tobytes()
                for row, expected in zip(passages, task.gold_hashes, strict=True)
            )
        if not same:
            raise MismatchError(
                self._source.passages,
                expected="the rows that the cache was planned with",
                got="others under this path on a worker",
                remedy="give all machines the same folder",
            )

    def __call__(self, rows: np.ndarray, fields: frozenset[str]) -> Mapping[str, Ragged]:
        """The columns of `fields` for the rows at these places of the row table."""
        passages = self._at(rows)
        block = self._encoder.encode(
            [row.question for row in passages],
            [row.text for row in passages],
            max_length=self._source.numbers["max_length"],
            max_question_tokens=self._source.numbers["max_question_tokens"],
        )
        answers = [row.answers for row in passages]
        return self.teacher.read(block, fields, lambda at: f"{rows[at]} of the target set", answers)

    def _at(self, rows: np.ndarray) -> Sequence[Passage]:
        return [self._passages[row] for row in rows.tolist() if row < len(self._passages)]


# What a worker keeps between tasks: one teacher, under the key of what made it.
_kept: dict[str, _Reader] = {}


def _loaded(source: Source, order: str, settings: CacheSettings) -> _Reader:
    key = source.key(settings, order)
    if key not in _kept:
        # The old one goes first: two may not fit.
        _kept.clear()
        _kept[key] = _Reader(source, settings)
    return _kept[key]
