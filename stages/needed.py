"""The fields that students need of target sets, as lines for params.

Read leniently: it is asked for when params do not hold these lines yet, and so do not pass their checks.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pipeline.cache.fields import FIELDS
from pipeline.errors import ParamsError
from pipeline.files import read_yaml
from pipeline.objectives.declarations import declaration_of, fields_of
from pipeline.objectives.expansion import expanded
from pipeline.registry import did_you_mean
from pipeline.tasks import SPAN, TASKS


def needed_fields(raw: Any, students: Sequence[str]) -> dict[str, dict[str, dict[str, Any]]]:
    """By target set: the fields that the terms of `students` read, with the options that they have in params.

    Args:
        raw: Params as they were read.
        students: Names of students.

    Raises:
        ParamsError: There is no such student.
    """
    known = _mapping(_mapping(raw).get("students"))
    needed: dict[str, set[str]] = {}
    for name in students:
        if name not in known:
            raise ParamsError(
                "students", expected="the name of a student", got=repr(name), remedy=did_you_mean(name, known)
            )
        student = _mapping(known[name])
        for target, field in _terms(student, _heads(student, _mapping(_mapping(raw).get("datasets")))):
            needed.setdefault(target, set()).add(field)
    targets = _mapping(_mapping(raw).get("targets"))
    return {
        target: {field: _options(targets, target, field) for field in sorted(fields)}
        for target, fields in sorted(needed.items())
    }


def needed_lines(params: Path, students: Sequence[str]) -> list[str]:
    """`needed_fields` as YAML to be pasted into params."""
    fields = needed_fields(read_yaml(params, what="the params of the pipeline"), students)
    if not fields:
        return [f"# {', '.join(students)}: no term reads a target set"]
    nested = {"targets": {target: {"fields": wanted} for target, wanted in fields.items()}}
    return yaml.safe_dump(nested, sort_keys=False, default_flow_style=None, width=110).splitlines()


def _heads(student: Mapping[str, Any], datasets: Mapping[str, Any]) -> dict[str, str]:
    """The task of each of a student's heads, as the first of its data sets has it."""
    heads = {}
    for name, head in _mapping(_mapping(student.get("model")).get("heads")).items():
        named = _mapping(head).get("datasets")
        dataset = str(named[0]) if isinstance(named, list) and named else ""
        heads[str(name)] = str(_mapping(datasets.get(dataset)).get("task", SPAN))
    return heads


def _terms(student: Mapping[str, Any], heads: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The pairs of a target set and a field that a student's terms name."""
    for phase in student.get("phases") or ():
        aliases: dict[str, list[str]] = {}
        for source in _mapping(phase).get("sources") or ():
            for alias, target in _mapping(_mapping(source).get("targets")).items():
                aliases.setdefault(alias, []).extend(_sets(target))
        for term in _mapping(phase).get("terms") or ():
            for single in expanded([term], heads) if _is_known(_mapping(term), heads) else ():
                for target in aliases.get(str(single.get("from")), ()):
                    yield from ((target, field) for field in fields_of(single))


def _is_known(term: Mapping[str, Any], heads: Mapping[str, str]) -> bool:
    try:
        declaration_of(str(term.get("loss")))
    except ParamsError:
        return False
    students = term.get("student", SPAN)
    named = students if isinstance(students, list) else [students]
    return all(heads.get(str(name), str(name)) in TASKS for name in named)


def _sets(target: Any) -> list[str]:
    """The target sets behind an alias: one, or the members of a mix."""
    if isinstance(target, str):
        return [target]
    members = [value for value in _mapping(target).values() if isinstance(value, list)]
    return [name for value in members for name in value if isinstance(name, str)]


def _options(targets: Mapping[str, Any], target: str, field: str) -> dict[str, Any]:
    """A field's options as params give them, or its defaults."""
    given = _mapping(_mapping(targets.get(target)).get("fields")).get(field)
    return dict(given) if isinstance(given, Mapping) else FIELDS[field].resolve({})


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
