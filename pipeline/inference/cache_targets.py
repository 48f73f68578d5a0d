"""From passages and a teacher to a filled target cache: rows, keys, plan, fill, identity."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, NotRequired, TypedDict, Unpack

import numpy as np

from pipeline import fingerprint
from pipeline.cache.estimate import Estimate, estimate
from pipeline.cache.fill import fill, fill_by, repair_plan
from pipeline.cache.identity import write_identity
from pipeline.cache.manifest import Manifest, load_manifest
from pipeline.cache.plan import Plan, plan
from pipeline.cache.ragged import Ragged
from pipeline.cache.rows import RowTable
from pipeline.cache.settings import CacheSettings
from pipeline.cache.settle import settle
from pipeline.errors import CacheError
from pipeline.inference.folders import contents, resolve
from pipeline.inference.heads import check_heads, classes_of, config_of, shape_of
from pipeline.inference.run_facts import run_facts
from pipeline.inference.spread import Source, Spread
from pipeline.inference.teacher import BATCH_TOKENS, SpanTeacher, TokenCount
from pipeline.inference.workers import Workers
from pipeline.progress import duration, track
from pipeline.schema import Answer, Passage
from pipeline.tables import read_rows
from pipeline.text.tokenizers import Encoded, Encoder


class _Work(NamedTuple):
    """What is to be cached and by whom."""

    rows: RowTable
    settings: CacheSettings
    reader: "_Reader"
    source: Source


class _Reader:
    """The teacher as the cache sees it; the model is loaded when the first row is to be read."""

    def __init__(
        self,
        teacher: Path,
        encoded: Sequence[Encoded],
        answers: Sequence[Sequence[Answer]],
        fields: Mapping[str, Mapping[str, Any]],
        numbers: Mapping[str, Any],
    ) -> None:
        self.rows_read = 0
        self._answers = answers
        self._folder, self._encoded, self._fields, self._numbers = teacher, encoded, fields, numbers

    @property
    def tokens(self) -> TokenCount:
        """Tokens read so far."""
        return self.teacher.tokens

    @cached_property
    def teacher(self) -> SpanTeacher:
        """The teacher, loaded on first use."""
        return SpanTeacher.open(
            self._folder,
            max_length=self._numbers["max_length"],
            fields=self._fields,
            batch_tokens=self._numbers["batch_tokens"],
            autocast=self._numbers["autocast"],
        )

    def __call__(self, rows: np.ndarray, fields: frozenset[str]) -> Mapping[str, Ragged]:
        """The columns of `fields` for the rows at these places of the row table."""
        block = [self._encoded[row] for row in rows.tolist()]
        self.rows_read += len(block)
        answers = [self._answers[row] for row in rows.tolist()]
        return self.teacher.read(block, fields, lambda at: f"{rows[at]} of the target set", answers)


class MadeWith(TypedDict):
    """What a target set is made of and with.

    `teacher` is a teacher's folder: a model, or a reference to one. `passages` is a folder of selected
    passages, `splits` those of its splits that are read, in order. `fields` are the target fields with their
    options. `max_length` and `max_question_tokens` limit a row, `batch_tokens` a padded batch, `autocast` is
    the type of matrix products: float32 (the default), bfloat16 or float16. It is part of what a cache is
    made with, so it does not follow from the device. `shard_rows` is the most rows of a shard, a power of
    two.
    """

    teacher: Path
    passages: Path
    splits: Sequence[str]
    fields: Mapping[str, Mapping[str, Any]]
    max_length: int
    max_question_tokens: int
    backend: NotRequired[str]
    batch_tokens: NotRequired[int]
    autocast: NotRequired[str]
    shard_rows: NotRequired[int]


def plan_targets(out: Path, **made_with: Unpack[MadeWith]) -> Plan:
    """What `cache_targets` with these arguments would compute and write; nothing is written."""
    work = _work(out, made_with)
    return plan(out, work.rows, work.settings)


def estimate_targets(
    out: Path, *, always: bool = False, **made_with: Unpack[MadeWith]
) -> tuple[Plan, Estimate | None]:
    """As `plan_targets`, and what filling would cost, from a few rows that the teacher reads now.

    Nothing is kept. Where nothing is left to be read, the teacher is asked only if it is to be `always`.
    """
    work = _work(out, made_with)
    planned = plan(out, work.rows, work.settings)
    return planned, estimate(planned, work.reader) if always or planned.pending_rows else None


def cache_targets(
    out: Path,
    *,
    manifest_out: Path,
    budget_gb: float | None = None,
    wait: bool = False,
    workers: Workers | None = None,
    **made_with: Unpack[MadeWith],
) -> dict[str, Any]:
    """Have a teacher read passages once and keep what it says; what is there already is not read again.

    Args:
        out: The cache's folder.
        manifest_out: Where to write the identity that students are bound to.
        budget_gb: Stop before the cache would get larger than this.
        wait: Wait for another process that fills this cache, instead of refusing.
        workers: Who reads; this process if None. On one kind of machine, with as many threads, the bytes are
            the same.
        made_with: See `MadeWith`.

    Returns:
        Rows, inputs read, bytes, seconds, and where the teacher read: rates and padding.

    Raises:
        ModelError: The teacher cannot be used, or gave not-a-number.
        CacheError: As of `pipeline.cache.fill.fill`.
    """
    work = _work(out, made_with)
    planned = plan(out, work.rows, work.settings)
    _say(plan_lines(planned))
    planned.check_budget(budget_gb)
    return _fill(work, planned, workers, manifest_out, wait=wait, budget_gb=budget_gb)


def repair_targets(
    out: Path,
    *,
    manifest_out: Path,
    wait: bool = False,
    workers: Workers | None = None,
    **made_with: Unpack[MadeWith],
) -> dict[str, Any]:
    """Read every byte of a cache and compute its damaged and missing shards again, nothing else.

    Arguments and result are those of `cache_targets`.

    Raises:
        MismatchError: The cache was filled with other arguments: that is no damage.
    """
    work = _work(out, made_with)
    planned = repair_plan(out, work.rows, work.settings)
    _say(plan_lines(planned))
    return _fill(work, planned, workers, manifest_out, wait=wait, rehash=True)


def _fill(
    work: _Work, planned: Plan, workers: Workers | None, manifest_out: Path, **options: Any
) -> dict[str, Any]:
    """Compute what a plan misses, here or on workers; `options` are those of `fill_by`."""
    reader = work.reader if workers is None else Spread(workers, work.source)
    with _progress(planned, reader) as advance:
        started = time.monotonic()
        if isinstance(reader, Spread):
            manifest = fill_by(planned, reader, advance=advance, run=reader.facts(), **options)
        else:
            manifest = fill(planned, reader, advance=advance, run=run_facts(), **options)
    return _finished(manifest, reader, planned.folder.name, manifest_out, time.monotonic() - started)


def _work(out: Path, made: MadeWith) -> _Work:
    folder = resolve(made["teacher"])
    config = config_of(folder)
    # Settled again below, when the rows are known; what a teacher cannot give is said before they are read.
    settle(made["fields"], shape_of(config))
    check_heads(made["fields"], config)
    encoder = Encoder.open(folder)
    held = contents(folder)
    numbers = {
        "max_length": made["max_length"],
        "max_question_tokens": made["max_question_tokens"],
        "batch_tokens": made.get("batch_tokens", BATCH_TOKENS),
        "autocast": made.get("autocast", "float32"),
    }
    by_split = {split: read_rows(made["passages"] / f"{split}.arrow", Passage) for split in made["splits"]}
    rows = [row for split_rows in by_split.values() for row in split_rows]
    encoded = encoder.encode(
        [row.question for row in rows],
        [row.text for row in rows],
        max_length=made["max_length"],
        max_question_tokens=made["max_question_tokens"],
    )
    table = RowTable.build(
        input_hashes=[fingerprint.input_hash(row.question, row.text) for row in rows],
        gold_hashes=[fingerprint.gold_hash(row.answers, row.labels) for row in rows],
        lengths=[len(row.input_ids) for row in encoded],
        question_lengths=[len(row.question_offsets) for row in encoded],
        splits=[split for split, split_rows in by_split.items() for _ in split_rows],
    )
    tokens = table.length[table.first]
    fields = settle(made["fields"], shape_of(config), tokens=tokens, stored=_stored_options(out))
    settings = CacheSettings(
        teacher={"weights": held.weights, "config": held.config},
        tokenizer=encoder.fingerprint,
        numbers=numbers,
        fields=fields,
        classes=classes_of(config),
        backend=made.get("backend", "arrow"),
    )
    if "shard_rows" in made:
        settings = replace(settings, shard_rows=made["shard_rows"])
    source = Source(folder.absolute(), made["passages"].absolute(), tuple(made["splits"]), fields, numbers)
    answers = [row.answers for row in rows]
    return _Work(table, settings, _Reader(folder, encoded, answers, fields, numbers), source)


def _stored_options(out: Path) -> Mapping[str, Mapping[str, Any]]:
    """The options of the fields that a cache has: what was chosen for it once is not chosen anew."""
    try:
        return {name: field.options for name, field in load_manifest(out).fields.items()}
    except CacheError:
        return {}


@contextmanager
def _progress(planned: Plan, reader: _Reader | Spread) -> Iterator[Callable[[int], None]]:
    """Rows and tokens a second, time left, bytes; nothing is shown where there is nothing to read."""
    pending = planned.pending_rows
    if not pending:
        yield lambda count: None
        return
    bytes_a_row = planned.missing_bytes / pending
    started = time.monotonic()
    done = 0
    with track(pending, f"targets {planned.folder.name}") as show:

        def advance(count: int) -> None:
            nonlocal done
            done += count
            size = f"about {done * bytes_a_row / 1e6:,.1f} MB"
            # Workers tell their tokens when a task ends.
            rate = 0 if isinstance(reader, Spread) else reader.tokens.real / (time.monotonic() - started)
            show(count, f"{rate:,.0f} tokens/s, {size}" if rate else size)

        yield advance


def _finished(
    manifest: Manifest, reader: _Reader | Spread, name: str, manifest_out: Path, seconds: float
) -> dict[str, Any]:
    write_identity(manifest_out, name, manifest)
    summary = {
        "rows": manifest.rows.count,
        "unique_inputs": manifest.rows.unique,
        "inputs_read": reader.rows_read,
        "bytes": sum(entry.bytes for entry in manifest.files().values()),
        "seconds": round(seconds, 2),
    }
    if reader.rows_read:
        tokens = reader.tokens
        summary |= {
            "rows_per_s": round(reader.rows_read / seconds, 1),
            "tokens_read": tokens.real,
            "tokens_per_s": round(tokens.real / seconds, 1),
            "padding_waste": round(tokens.waste, 4),
        }
        _say(
            [
                f"{name}: {tokens.real:,} tokens ({summary['tokens_per_s']:,.0f} tokens/s),"
                f" padding {tokens.waste:.1%}, {summary['bytes'] / 1e6:,.1f} MB"
            ]
        )
    return summary


def plan_lines(planned: Plan) -> list[str]:
    """A plan for people: what each field takes, what is there, what will be computed."""
    summary = planned.summary()
    lines = [
        f"{planned.folder.name}: {summary['rows']:,} rows, {summary['unique_inputs']:,} different inputs,"
        f" {summary['inputs_to_read']:,} to be read;"
        f" {summary['bytes_to_write'] / 1e6:,.1f} MB to write, {summary['bytes_in_all'] / 1e6:,.1f} MB in all"
    ]
    for name, field in summary["fields"].items():
        options = ", ".join(f"{key} {value}" for key, value in field["options"].items())
        lines.append(
            f"  {name}{f' ({options})' if options else ''}: {field['bytes_per_row']:,} bytes a row,"
            f" {field['bytes_in_all'] / 1e6:,.1f} MB;"
            f" shards: {field['shards_kept']} there, {field['shards_to_compute']} to compute"
        )
    if summary["damaged"]:
        lines.append(f"  damaged, to be computed again: {', '.join(summary['damaged'])}")
    return lines


def estimate_lines(planned: Plan, estimated: Estimate) -> list[str]:
    """An estimate for people: the time of the fill, and for each field whether keeping it pays."""
    seconds = planned.pending_rows / estimated.teacher_rate
    lines = [
        f"  the teacher reads {estimated.teacher_rate:,.1f} rows/s (measured on {estimated.rows}):"
        f" {duration(seconds)} for what is missing; the disk reads {estimated.disk_rate / 1e6:,.0f} MB/s"
    ]
    computing = estimated.computing_s
    for name in estimated.fields:
        reading = estimated.reading_s(planned.fields[name].bytes_per_row)
        verdict = "keep it" if reading < computing else "computing is cheaper than reading: leave it out"
        costs = f"{reading * 1e6:,.0f} us a row to read, {computing * 1e6:,.0f} us to compute"
        lines.append(f"  {name}: {costs}; {verdict}")
    return lines


def _say(lines: Iterable[str]) -> None:
    print("\n".join(lines), file=sys.stderr, flush=True)
