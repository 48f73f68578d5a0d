"""A target set, opened at a student's rows, with the way from its tokens to the student's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64
from numpy.typing import NDArray

from pipeline import fingerprint
from pipeline.binding.alignment import TokenMaps, token_maps
from pipeline.binding.rows import ReaderRows
from pipeline.binding.token_spans import RowTokens
from pipeline.cache.fields import is_of_gold
from pipeline.cache.manifest import load_manifest
from pipeline.cache.ragged import Ragged
from pipeline.cache.reader import TargetCache
from pipeline.cache.rows import hashes_to_array
from pipeline.errors import MismatchError
from pipeline.schema import Passage

_CHUNK = 1024


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
class TargetRows:
    """One target set, open, with the way from its tokens to the student's.

    Args:
        targets: The set.
        cache: Its cache.
        positions: Where the student's rows lie in it.
        tokens: The teacher's tokens of these rows.
        maps: For each of them, the student's token that stands for it.
        identity: Of the fields that are read, what they were made of and with.
        options: Of these fields, their options.
    """

    targets: TargetSet
    cache: TargetCache
    positions: Int64[np.ndarray, " rows"]
    tokens: RowTokens
    maps: TokenMaps
    identity: dict[str, str]
    options: dict[str, dict[str, Any]]

    @property
    def offsets(self) -> Ragged:
        """Characters of the passage's tokens."""
        return self.tokens.passage


def open_at(targets: TargetSet, rows: ReaderRows, passages: Sequence[Passage]) -> TargetRows:
    """Open a target set and find a student's rows in it, by their content.

    Raises:
        CacheError: It is unsealed or damaged, or holds not all rows.
        MismatchError: It lacks a field, or has fields of other labels than these rows.
    """
    manifest = load_manifest(targets.folder)
    identity = manifest.identity
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
    if any(map(is_of_gold, targets.fields)):
        _check_same_gold(cache, positions, passages)
    question, passage = (_offsets(cache, positions, part) for part in ("question", "passage"))
    tokens = RowTokens(question, passage, cache.rows.length[positions].astype(np.int64))
    maps = token_maps(passage, rows.columns["passage_offsets"])
    options = {name: dict(manifest.fields[name].options) for name in targets.fields}
    return TargetRows(targets, cache, positions, tokens, maps, pinned, options)


def _check_same_gold(cache: TargetCache, positions: NDArray[np.int64], passages: Sequence[Passage]) -> None:
    held = cache.rows.gold_hash[positions]
    given = hashes_to_array([fingerprint.gold_hash(row.answers, row.labels) for row in passages])
    other = np.flatnonzero((held != given).any(axis=1))
    if len(other):
        raise MismatchError(
            cache.path,
            expected="the labels that its end_rows were computed for",
            got=f"others in {len(other):,} of {len(given):,} rows",
            remedy="run cache_targets, which computes these rows again; where splits hold equal texts with"
            " other labels, give each split a target set of its own",
        )


def check_classes(teacher: TargetRows, field: str, num_classes: int | None) -> None:
    """Stop where the logits of `field` are of another number of classes than the student has.

    Raises:
        MismatchError: So it is.
    """
    held = teacher.cache.manifest.fields.get(field)
    given = held.options.get("num_classes") if held is not None else None
    if num_classes is not None and given is not None and given != num_classes:
        raise MismatchError(
            teacher.targets.folder,
            expected=f"logits of the {num_classes} classes that the student has",
            got=f"those of {given}",
            remedy="train student and teacher on data sets of the same classes",
        )


def check_same_tokens(teachers: Sequence[TargetRows]) -> None:
    """Stop where teachers whose logits are averaged token by token have not the same tokens.

    Raises:
        MismatchError: Names the first that has others.
    """
    first = teachers[0]
    for other in teachers[1:]:
        tokens = {teacher.cache.manifest.tokenizer for teacher in (first, other)}
        equal = all(
            np.array_equal(getattr(first.offsets, part), getattr(other.offsets, part))
            for part in ("offsets", "values")
        )
        if len(tokens) > 1 or not equal:
            raise MismatchError(
                other.targets.folder,
                expected=f"the tokens of {first.targets.folder}, whose logits are averaged with these",
                got="another tokenizer" if len(tokens) > 1 else "other tokens",
                remedy="use mean_probabilities, which brings each teacher to the student's tokens first",
            )


def _offsets(cache: TargetCache, positions: NDArray[np.int64], axis: str) -> Ragged:
    rows: list[NDArray[np.int32]] = []
    for part in parts(len(positions)):
        batch = cache.batch(positions[part], [f"{axis}_offsets"])
        rows += [
            offsets[:length].reshape(-1)
            for offsets, length in zip(batch[f"{axis}_offsets"], batch[f"{axis}_length"], strict=True)
        ]
    return Ragged.from_rows(rows, np.int32)


def parts(count: int) -> Iterator[slice]:
    """Rows as they are read from a cache, some at a time."""
    return (slice(start, start + _CHUNK) for start in range(0, count, _CHUNK))
