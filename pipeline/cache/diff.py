"""What two caches differ in: what made them, their rows, their keys, their values."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int64

from pipeline.cache.manifest import FieldEntry, Manifest
from pipeline.cache.reader import TargetCache

_CHUNK = 1024


class Difference(NamedTuple):
    """One thing that is not the same in two caches."""

    what: str
    one: str
    other: str

    def __str__(self) -> str:
        return f"{self.what}: {self.one} | {self.other}"


def diff(one: Path, other: Path) -> list[Difference]:
    """What the caches at `one` and `other` differ in; nothing where keys and values agree.

    Kinds of files, unreferenced shards and provenance do not count.
    Values are compared for the rows and fields that both have, as a reader gets them.

    Raises:
        CacheError: There is no cache at one of the paths, or it is damaged.
    """
    caches = TargetCache.open(one), TargetCache.open(other)
    manifests = caches[0].manifest, caches[1].manifest
    return [*_made_with(*manifests), *_rows(*caches), *_fields(*manifests), *_values(*caches)]


def _made_with(one: Manifest, other: Manifest) -> Iterator[Difference]:
    yield from _mappings("teacher", one.teacher, other.teacher)
    yield from _mappings("tokenizer", {"": one.tokenizer}, {"": other.tokenizer})
    yield from _mappings("settings", one.settings, other.settings)


def _mappings(what: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[Difference]:
    for key in sorted({*one, *other}):
        if one.get(key) != other.get(key):
            absent = "absent"
            yield Difference(f"{what} {key}".rstrip(), str(one.get(key, absent)), str(other.get(key, absent)))


def _shared(
    one: TargetCache, other: TargetCache
) -> tuple[Int64[np.ndarray, " rows"], Int64[np.ndarray, " rows"]]:
    """The positions, in both, of the rows that both have."""
    found = other.find(one.rows.input_hash, one.rows.occurrence)
    mine = np.flatnonzero(found >= 0)
    return mine, found[mine]


def _rows(one: TargetCache, other: TargetCache) -> Iterator[Difference]:
    mine, theirs = _shared(one, other)
    alone = len(one) - len(mine), len(other) - len(mine)
    if any(alone):
        yield Difference("rows", f"{len(one):,}, {alone[0]:,} alone", f"{len(other):,}, {alone[1]:,} alone")
    elif one.rows.order != other.rows.order:
        moved = np.count_nonzero(mine != theirs)
        yield Difference("order of rows", f"{moved:,} rows elsewhere", "the same rows")
    labels = (one.rows.gold_hash[mine] != other.rows.gold_hash[theirs]).any(axis=1)
    if labels.any():
        yield Difference("labels", f"of {np.count_nonzero(labels):,} rows", "others")
    yield from _mappings("split", one.rows.counts(), other.rows.counts())


def _fields(one: Manifest, other: Manifest) -> Iterator[Difference]:
    for name in sorted({*one.fields, *other.fields}):
        mine, theirs = one.fields.get(name), other.fields.get(name)
        if mine is None or theirs is None:
            yield Difference(
                f"field {name}", *("absent" if field is None else "there" for field in (mine, theirs))
            )
            continue
        yield from _mappings(f"field {name}, option", mine.options, theirs.options)
        if mine.numerics != theirs.numerics:
            yield Difference(f"field {name}, numerics", str(mine.numerics), str(theirs.numerics))
        if _keys(mine) != _keys(theirs):
            alone = len(_keys(mine) - _keys(theirs)), len(_keys(theirs) - _keys(mine))
            yield Difference(
                f"field {name}, keys",
                f"{len(mine.shards)} shards, {alone[0]} alone",
                f"{len(theirs.shards)}, {alone[1]} alone",
            )


def _keys(field: FieldEntry) -> set[str]:
    return {shard.key for shard in field.shards}


def _values(one: TargetCache, other: TargetCache) -> Iterator[Difference]:
    mine, theirs = _shared(one, other)
    for name in sorted(one.columns.keys() & other.columns.keys()):
        columns = one.columns[name], other.columns[name]
        axes = [f"{column.axes} {column.extents or ''}".strip() for column in columns]
        if axes[0] != axes[1]:
            yield Difference(f"axes of {name}", *axes)
            continue
        differing, largest = 0, 0.0
        for start in range(0, len(mine), _CHUNK):
            part = slice(start, start + _CHUNK)
            rows, gap = _compare(one.batch(mine[part], [name]), other.batch(theirs[part], [name]), name)
            differing, largest = differing + rows, max(largest, gap)
        if differing:
            yield Difference(
                f"values of {name}", f"{differing:,} of {len(mine):,} rows", f"by at most {largest:.3g}"
            )


def _compare(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray], name: str) -> tuple[int, float]:
    """How many rows differ, and by how much at most where they are equally long."""
    axes = [axis for axis in one if axis.endswith("_length")]
    longer = np.any([one[axis] != other[axis] for axis in axes], axis=0)
    values = [cache[name][~longer] for cache in (one, other)]
    ends = tuple(slice(min(sizes)) for sizes in zip(values[0].shape, values[1].shape, strict=True))
    mine, theirs = (array[ends].reshape(len(array), -1) for array in values)
    unequal = (mine != theirs).any(axis=1)
    gap = np.abs(mine[unequal].astype(np.float64) - theirs[unequal])
    return int(longer.sum() + unequal.sum()), float(gap.max(initial=0.0))
