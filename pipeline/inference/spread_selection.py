"""Selection on many workers: each reads the table of examples and works on blocks of it."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from pipeline import fingerprint
from pipeline.errors import MismatchError
from pipeline.inference.workers import Place, Workers
from pipeline.schema import Example
from pipeline.selection.select import Transform, blocks, pairs
from pipeline.selection.selected import Pair, Selected
from pipeline.tables import read_rows


class _Shared(NamedTuple):
    """What every block needs: the selector with all that it has learnt, and the table."""

    selector: Any
    table: Path
    digest: bytes


def transform_on(workers: Workers) -> Transform:
    """What `pipeline.selection.select.select` calls to have rows worked on by `workers`.

    Blocks are those of one process, and a worker has the fitted selector itself, so the result is the same
    for every method, one that counts over the whole corpus included.
    """
    return partial(_transform, workers)


def _transform(
    workers: Workers,
    selector: Any,
    table: Path,
    rows: Sequence[Example],
    advance: Callable[[int], None],
) -> list[Selected]:
    shared = _Shared(selector, table.absolute(), _digest(pairs(rows)))
    parts = workers.run(_select_block, shared, list(blocks(len(rows))), advance)
    return [selected for part in parts for selected in part]


def _select_block(shared: _Shared, block: slice, place: Place) -> list[Selected]:
    """On a worker: what is kept of each row of a block.

    Raises:
        MismatchError: The table is another one here.
    """
    rows = _loaded(shared.table, shared.digest)[block]
    selected: list[Selected] = shared.selector.transform(rows)
    place.report(len(rows))
    return selected


# What a worker keeps between tasks: one table, under its digest.
_kept: dict[bytes, list[Pair]] = {}


def _loaded(table: Path, digest: bytes) -> list[Pair]:
    if digest not in _kept:
        _kept.clear()
        read = pairs(read_rows(table, Example))
        if _digest(read) != digest:
            raise MismatchError(
                table,
                expected="the examples that selection was started with",
                got="others under this path on a worker",
                remedy="put the project on a file system that all machines mount under the same path",
            )
        _kept[digest] = read
    return _kept[digest]


def _digest(rows: Sequence[Pair]) -> bytes:
    return fingerprint.digest([part for row in rows for part in row])
