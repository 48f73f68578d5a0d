"""The rows of a phase: its bound sources, joined with what teachers say of them."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.binding.inputs import BoundSource, Inputs
from pipeline.cache.mix import Mix
from pipeline.cache.reader import TargetCache
from pipeline.errors import DataError, MismatchError, ParamsError
from pipeline.objectives.matches import Held
from pipeline.objectives.needs import needs
from pipeline.tasks import TASKS
from pipeline.training.joined import JoinedStream
from pipeline.training.stream import Stream, Targets, TargetSource, row_identities

Terms = Sequence[Mapping[str, Any]]


def held_by(sources: Sequence[BoundSource]) -> dict[str, Held]:
    """By alias, the fields that target sets hold, with their options."""
    return {alias: entry["options"] for source in sources for alias, entry in source.targets.items()}


def phase_sources(bound: Inputs, number: int, where: str) -> list[BoundSource]:
    """The sources of a phase, each with rows in it.

    Raises:
        ParamsError: There are none.
        DataError: One has no rows.
    """
    sources = [source for source in bound.sources if source.phase == number]
    if not sources:
        raise ParamsError(
            f"{where}.sources",
            expected="one source or more",
            got=f"none in {bound.folder}",
            remedy="name one, and bind the student again",
        )
    for source in sources:
        if source.rows == 0:
            raise DataError(
                source.path,
                expected="rows to train on",
                got="none",
                remedy="check the data set's split, and the rejects of prepare",
            )
    return sources


def mixes_of(bound: Inputs, sources: Sequence[BoundSource], terms: Terms, where: str) -> dict[str, Mix]:
    """The aliases, of those that the phase's terms read, that stand for several teachers.

    Raises:
        ParamsError: One stands for other teachers in another source.
    """
    mixes: dict[str, Mix] = {}
    for alias in needs(terms, heads=bound.head_tasks):
        found = {source.mix(alias) for source in sources if alias in {*source.targets, *source.mixes}}
        if len(found) > 1:
            raise ParamsError(
                f"{where}.sources",
                expected=f"{alias!r} to be the same mix of as many target sets in each, or one set in each",
                got=f"{len(found)} kinds of target",
                remedy="give other mixes an alias of their own, and a term that names it",
            )
        mix = next(iter(found), None)
        if mix is not None:
            mixes[alias] = mix
    return mixes


def open_stream(
    bound: Inputs,
    sources: Sequence[BoundSource],
    terms: Terms,
    targets: Mapping[str, Path | TargetSource],
    where: str,
) -> Stream | JoinedStream:
    """The rows of a phase, joined with the targets that its terms read.

    Raises:
        ParamsError: A source has no target set of a name that a term reads.
        MismatchError: A cache is not the one that the inputs were bound to.
    """
    # The student's tokens are the teacher's where they are so in every source.
    equal = {
        alias
        for source in sources
        for alias in source.targets
        if all(other.targets[alias]["equal_tokens"] for other in sources if alias in other.targets)
    }
    beside = {f"{alias}/{name}" for alias in equal for name in ("gold", "token_spans")}
    streams = [_source_stream(bound, source, terms, targets, where, beside) for source in sources]
    return streams[0] if len(streams) == 1 else JoinedStream(streams)


def _source_stream(
    bound: Inputs,
    source: BoundSource,
    terms: Terms,
    targets: Mapping[str, Path | TargetSource],
    where: str,
    left_out: Collection[str],
) -> Stream:
    columns = {name: column for name, column in source.columns().items() if name not in left_out}
    row_ids, occurrences = row_identities(columns)
    mixes = mixes_of(bound, [source], terms, where)
    joined = {}
    needed = needs(terms, source.name, bound.head_tasks, held=held_by([source]))
    for alias, (fields, wanted) in needed.items():
        for member in mixes[alias].aliases(alias) if alias in mixes else (alias,):
            entry = source.targets.get(member)
            if entry is None or entry["set"] not in targets:
                raise ParamsError(
                    f"{where}.terms",
                    expected=f"a target set called {member!r}",
                    got=f"{sorted(source.targets)} of {source.name} in {bound.folder}, "
                    f"caches for {sorted(targets)}",
                    remedy="name it among the source's targets, and bind the student again",
                )
            opened = _open(targets[entry["set"]], entry["identity"], fields, bound.folder)
            joined[member] = Targets(opened, opened.positions(row_ids, occurrences), wanted)
    return Stream(columns, joined, tuple(mixes), TASKS[source.task or bound.task].labels)


def _open(
    target: Path | TargetSource, identity: Mapping[str, str], fields: Sequence[str], inputs: Path
) -> TargetSource:
    if not isinstance(target, Path):
        return target
    absent = [field for field in fields if field not in identity]
    if absent:
        raise MismatchError(
            inputs,
            expected=f"inputs bound to the fields {', '.join(fields)} of {target}",
            got=f"none of {', '.join(absent)}",
            remedy="bind the student again",
        )
    source: TargetSource = TargetCache.open(target, expected={field: identity[field] for field in fields})
    return source
