"""A thing wrong in params.yaml, and what several entries of it are checked for."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.cache.fields import FIELDS, field_problems, is_field
from pipeline.cache.mix import MEAN_LOGITS, MEAN_PROBABILITIES
from pipeline.registry import Table, did_you_mean
from stages.mixes import tokens_problem, weight_problems
from stages.sections import Merge, Mix, Teacher


@dataclass(frozen=True)
class Problem:
    """One thing wrong in params.yaml."""

    path: str
    text: str

    def __str__(self) -> str:
        return f"  {self.path}: {self.text}"


def known_problems(name: str, known: Any, path: str, kind: str) -> Iterator[Problem]:
    """A name that nothing bears."""
    if name not in known:
        yield Problem(path, f"unknown {kind} {name!r}; {did_you_mean(name, known)}")


def option_problems(table: Table, name: str, options: Mapping[str, Any], path: str) -> Iterator[Problem]:
    """A name that is not in a table, or options that its entry does not take."""
    problem = table.name_problem(name)
    problems = [problem] if problem else table.option_problems(name, options)
    yield from (Problem(path, text) for text in problems)


def mix_problems(
    mix: Mix,
    path: str,
    dataset: str,
    splits: list[str],
    read: dict[str, Any],
    sets: Mapping[str, Any],
    known: set[str],
) -> Iterator[Problem]:
    """What is wrong with a mix of `sets` that is to hold `splits` of a data set."""
    if (mix.mean_logits is None) == (mix.mean_probabilities is None):
        yield Problem(path, f"expected one of {MEAN_LOGITS} and {MEAN_PROBABILITIES}; got both or neither")
        return
    where = f"{path}.{mix.mean}"
    if len(mix.members) < 2:
        yield Problem(where, f"expected two target sets or more; got {mix.members}; one needs no mean")
    for number, member in enumerate(mix.members):
        yield from set_problems(member, f"{where}.{number}", dataset, splits, sets, known)
    if mix.weights is not None:
        for text in weight_problems(mix.weights, len(mix.members)):
            yield Problem(f"{path}.weights", text)
    problem = tokens_problem(
        list(teachers_behind(mix.members, read).items()),
        read["tokenizers"],
        merged=isinstance(mix, Merge),
    )
    if problem is not None and (isinstance(mix, Merge) or mix.mean == MEAN_LOGITS):
        yield Problem(where, problem)


def teachers_behind(targets: Iterable[str], read: dict[str, Any]) -> dict[str, Teacher]:
    """The teachers of target sets, each once by name; of a merge, those of the sets that it is made of."""
    sets = (
        name
        for target in targets
        for name in (read["merges"][target].members if target in read["merges"] else [target])
    )
    names = (read["targets"][name].teacher for name in sets if name in read["targets"])
    return {name: read["teachers"][name] for name in names if name in read["teachers"]}


def set_problems(
    target: str, path: str, dataset: str, splits: list[str], sets: Mapping[str, Any], known: set[str]
) -> Iterator[Problem]:
    """What is wrong with a target set that is to hold `splits` of a data set."""
    yield from known_problems(target, known, path, "target set")
    held = sets.get(target)
    if held is not None and (held.dataset != dataset or not {*splits} <= {*held.splits}):
        asked = ", ".join(f"{dataset}.{split}" for split in splits)
        yield Problem(path, f"{target!r} holds {held.dataset} {held.splits}, not {asked}")


def field_name_problems(fields: Mapping[str, Mapping[str, Any]], path: str) -> Iterator[Problem]:
    """Fields that no cache holds, or options that they do not take."""
    for field, options in fields.items():
        if not is_field(field):
            yield Problem(f"{path}.fields", f"unknown field {field!r}; {did_you_mean(field, FIELDS)}")
        else:
            yield from (Problem(f"{path}.fields.{field}", text) for text in field_problems(field, options))


def split_problems(
    dataset: str, split: str, path: str, read: dict[str, Any], names: dict[str, set[str]]
) -> Iterator[Problem]:
    """A data set that there is not, or a split that it does not have."""
    yield from known_problems(dataset, names["datasets"], path, "data set")
    entry = read["datasets"].get(dataset)
    if entry is not None and entry.files and split not in entry.files:
        yield Problem(path, f"unknown split {split!r} of {dataset}; {did_you_mean(split, entry.files)}")


def evaluation_set_problems(
    sets: list[str], path: str, read: dict[str, Any], names: dict[str, set[str]]
) -> Iterator[Problem]:
    """Sets to score on that there are not."""
    for name in sets:
        dataset, _, split = name.partition(".")
        yield from split_problems(dataset, split, path, read, names)
