"""What one target set gives to bound rows: token maps, confusing answers, the mass that was lost."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.binding.alignment import LOST, TokenMaps, token_maps
from pipeline.binding.confusing import confusing_span
from pipeline.binding.inputs import BoundTargets
from pipeline.binding.rows import ReaderRows, pairs
from pipeline.cache.manifest import load_manifest
from pipeline.cache.ragged import Ragged
from pipeline.cache.reader import TargetCache
from pipeline.errors import DataError, MismatchError
from pipeline.schema import Passage
from pipeline.tasks.answers import NO_SPAN, span_characters

_CHUNK = 1024
_SIDES = ("start", "end")


@dataclass(frozen=True)
class TargetSet:
    """A target set that a source's terms read.

    Args:
        folder: The cache; its name is the set's.
        fields: The fields that the terms need of it.
        columns: The cached columns that training reads.
    """

    folder: Path
    fields: tuple[str, ...]
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Bound:
    """The columns of one target set beside a student's rows, and their description."""

    columns: dict[str, Ragged]
    described: BoundTargets


def bind_targets(
    targets: TargetSet,
    rows: ReaderRows,
    passages: Sequence[Passage],
    *,
    language: str,
    lost_mass_limit: float,
) -> Bound:
    """Join bound rows with one target set, by the content of the rows.

    Raises:
        CacheError: The cache is unsealed, damaged, or holds not all rows and fields.
        DataError: More of the teacher's mass is lost than `lost_mass_limit`.
    """
    identity = load_manifest(targets.folder).identity
    absent = [field for field in targets.fields if field not in identity]
    if absent:
        raise MismatchError(
            targets.folder,
            expected=f"the fields {', '.join(targets.fields)}",
            got=f"a cache without {', '.join(absent)}",
            remedy="add them to the target set's fields and run cache_targets",
        )
    pinned = {field: identity[field] for field in targets.fields}
    cache = TargetCache.open(targets.folder, expected=pinned)
    positions = cache.positions(rows.hashes, rows.occurrences)
    teacher_offsets = _passage_offsets(cache, positions)
    maps = token_maps(teacher_offsets, rows.columns["passage_offsets"])
    lost = _lost_mass(cache, positions, maps) if "span_logits" in targets.fields else {}
    _check_lost(lost, lost_mass_limit, targets.folder)
    confusing = [NO_SPAN] * len(passages)
    if "top_spans" in targets.fields:
        confusing = _confusing(cache, positions, maps, teacher_offsets, passages, language)
    described = BoundTargets(
        set=targets.folder.name,
        columns=list(targets.columns),
        fields=list(targets.fields),
        identity=pinned,
        lost=lost,
        confusing_rows=sum(span != NO_SPAN for span in confusing),
    )
    columns = {"start_map": maps.start, "end_map": maps.end, "confusing": pairs(confusing)}
    return Bound(columns, described)


def _passage_offsets(cache: TargetCache, positions: NDArray[np.int64]) -> Ragged:
    rows: list[NDArray[np.int32]] = []
    for part in _parts(len(positions)):
        batch = cache.batch(positions[part], ["passage_offsets"])
        rows += [
            offsets[:length].reshape(-1)
            for offsets, length in zip(batch["passage_offsets"], batch["passage_length"], strict=True)
        ]
    return Ragged.from_rows(rows, np.int32)


def _lost_mass(cache: TargetCache, positions: NDArray[np.int64], maps: TokenMaps) -> dict[str, float]:
    """The mean over all rows of the start and end probability that no student token receives, at T = 1.

    Rounded, so that values which differ in their last bits between machines are described alike.
    """
    lost = {}
    for side, token_map in zip(_SIDES, maps, strict=True):
        rows = np.unique(_row_of_values(token_map)[token_map.values == LOST])
        total = 0.0
        for part in _parts(len(rows)):
            batch = cache.batch(positions[rows[part]], [f"{side}_logits"])
            for row, logits in zip(rows[part], batch[f"{side}_logits"], strict=True):
                is_lost = token_map.row(int(row)) == LOST
                total += float(_softmax(logits[: len(is_lost)])[is_lost].sum())
        lost[side] = round(total / max(len(positions), 1), 4)
    return lost


def _check_lost(lost: dict[str, float], limit: float, folder: Path) -> None:
    for side, share in lost.items():
        if share > limit:
            raise DataError(
                folder,
                expected=f"{1 - limit:.1%} of the teacher's {side} mass or more on the student's tokens",
                got=f"{1 - share:.1%}, the rest on tokens that the student's length limit cuts off",
                remedy="raise max_length, lower the selection's max_tokens, or raise lost_mass_limit",
            )


def _confusing(
    cache: TargetCache,
    positions: NDArray[np.int64],
    maps: TokenMaps,
    teacher_offsets: Ragged,
    passages: Sequence[Passage],
    language: str,
) -> list[tuple[int, int]]:
    """The confusing answer of every row, in student tokens."""
    found = []
    for part in _parts(len(positions)):
        batch = cache.batch(positions[part], ["top_starts", "top_ends"])
        lengths = batch["span_length"]
        for row, starts, ends, length in zip(
            range(len(positions))[part], batch["top_starts"], batch["top_ends"], lengths, strict=True
        ):
            spans = list(zip(starts[:length].tolist(), ends[:length].tolist(), strict=True))
            offsets = teacher_offsets.row(row).reshape(-1, 2)
            passage = passages[row]
            place = confusing_span(
                (span_characters(first, last, offsets) for first, last in spans),
                passage.text,
                passage.gold_texts,
                language=language,
            )
            found.append(NO_SPAN if place is None else _mapped(spans[place], maps, row))
    return found


def _mapped(span: tuple[int, int], maps: TokenMaps, row: int) -> tuple[int, int]:
    first, last = int(maps.start.row(row)[span[0]]), int(maps.end.row(row)[span[1]])
    return (first, last) if LOST not in (first, last) else NO_SPAN


def _row_of_values(column: Ragged) -> NDArray[np.int64]:
    return np.repeat(np.arange(len(column)), np.diff(column.offsets))


def _softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    wide = logits.astype(np.float64)
    exps = np.exp(wide - wide.max())
    probs: NDArray[np.float64] = exps / exps.sum()
    return probs


def _parts(count: int) -> Iterator[slice]:
    return (slice(start, start + _CHUNK) for start in range(0, count, _CHUNK))
