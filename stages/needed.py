"""The fields that students need of target sets, as lines for params.

Read leniently: it is asked for when params do not hold these lines yet, and so do not pass their checks.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pipeline.cache.fields import FIELDS, SETTLED, kind_of, spec_of
from pipeline.cache.settle import TeacherShape
from pipeline.errors import ParamsError
from pipeline.files import read_yaml
from pipeline.objectives.declarations import declaration_of
from pipeline.objectives.expansion import expanded
from pipeline.objectives.matches import MATCHES, alternatives_of, is_held
from pipeline.objectives.needs import fields_of
from pipeline.objectives.presets import PRESET
from pipeline.objectives.problems import term_problems
from pipeline.registry import did_you_mean
from pipeline.tasks import SPAN, TASKS
from stages.matches import held_fields, shape_of


def needed_fields(raw: Any, students: Sequence[str]) -> dict[str, dict[str, dict[str, Any]]]:
    """By target set: the fields that the terms of `students` read, with the options that they have in params.

    Of the fields that a match can be made from, it is one that is there, or that another term needs, or else
    the smallest: `hidden_mse` and `nst` of one layer share a hidden state.

    Args:
        raw: Params as they were read.
        students: Names of students.

    Raises:
        ParamsError: There is no such student.
    """
    known = _mapping(_mapping(raw).get("students"))
    read: dict[str, list[Mapping[str, Any]]] = {}
    for name in students:
        if name not in known:
            raise ParamsError(
                "students", expected="the name of a student", got=repr(name), remedy=did_you_mean(name, known)
            )
        student = _mapping(known[name])
        for target, term in _terms(student, _heads(student, _mapping(raw))):
            read.setdefault(target, []).append(term)
    return {target: _fields(_mapping(raw), target, terms) for target, terms in sorted(read.items())}


def _fields(
    raw: Mapping[str, Any], target: str, terms: Sequence[Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """The fields of a target set that terms read, those of layers as lists of layers."""
    entry = _mapping(_mapping(raw.get("targets")).get(target))
    given = {name: dict(_mapping(options)) for name, options in _mapping(entry.get("fields")).items()}
    teacher = shape_of(
        _mapping(_mapping(_mapping(raw.get("teachers")).get(str(entry.get("teacher")))).get("model")), ""
    )
    selected = _mapping(_mapping(raw.get("selection")).get(str(entry.get("dataset"))))
    held = held_fields(given, teacher) or {}
    needed: dict[str, dict[str, Any]] = {}
    # First the terms that leave no choice, then those that can read what these need.
    for term in sorted(terms, key=lambda term: (_choices(term), term["loss"])):
        there = {**held, **needed}
        loss = term["loss"]
        fields = fields_of(term, there)
        if loss in MATCHES and not is_held(loss, fields, there):
            scores, *others = alternatives_of(loss, term.get("teacher_layer"))
            fewest = (
                scores
                if not MATCHES[loss].same_heads or _scores_are_smaller(teacher, selected)
                else others[0]
            )
            fields = fewest
        for field in fields:
            needed.setdefault(field, _options(given, held, field, loss))
    return _by_layers(needed)


def _choices(term: Mapping[str, Any]) -> tuple[int, bool]:
    """How many ways there are to a term's fields; scores of each head serve for their sum and mean too."""
    match = MATCHES.get(term["loss"])
    return (1, False) if match is None else (len(match.alternatives), not match.same_heads)


def _scores_are_smaller(teacher: TeacherShape | None, selected: Mapping[str, Any]) -> bool:
    """Whether scores of every head take less than the queries and keys that they are made of."""
    tokens = selected.get("max_tokens")
    # Heads are 64 wide in nearly every encoder.
    head = teacher.width // teacher.num_heads if teacher and teacher.width and teacher.num_heads else 64
    return isinstance(tokens, int) and tokens <= 2 * head


def _by_layers(fields: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Fields of one kind and equal options under one name, with a list of their layers."""
    grouped: dict[str, dict[str, Any]] = {}
    for field in sorted(fields, key=lambda name: kind_of(name) or (name, ())):
        kind, layers = kind_of(field) or (field, ())
        options = fields[field]
        if not layers:
            grouped[field] = options
            continue
        group = grouped.setdefault(kind, {"layers": [], **options})
        if {name: value for name, value in group.items() if name != "layers"} != options:
            grouped[field] = options
            continue
        group["layers"].append(list(layers) if len(layers) > 1 else layers[0])
    return grouped


def needed_lines(params: Path, students: Sequence[str]) -> list[str]:
    """`needed_fields` as YAML to be pasted into params."""
    fields = needed_fields(read_yaml(params, what="the params of the pipeline"), students)
    if not fields:
        return [f"# {', '.join(students)}: no term reads a target set"]
    nested = {"targets": {target: {"fields": wanted} for target, wanted in fields.items()}}
    return yaml.safe_dump(nested, sort_keys=False, default_flow_style=None, width=110).splitlines()


def _heads(student: Mapping[str, Any], raw: Mapping[str, Any]) -> dict[str, str]:
    """The task of each of a student's heads, as the first of its data sets has it."""
    datasets, made = _mapping(raw.get("datasets")), _mapping(raw.get("augmentations"))
    heads = {}
    for name, head in _mapping(_mapping(student.get("model")).get("heads")).items():
        named = _mapping(head).get("datasets")
        dataset = str(named[0]) if isinstance(named, list) and named else ""
        source = str(_mapping(made.get(dataset)).get("dataset", dataset))
        heads[str(name)] = str(_mapping(datasets.get(source)).get("task", SPAN))
    return heads


def _terms(student: Mapping[str, Any], heads: Mapping[str, str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The target sets that a student's terms read, each with the term."""
    for phase in student.get("phases") or ():
        aliases: dict[str, list[str]] = {}
        for source in _mapping(phase).get("sources") or ():
            for alias, target in _mapping(_mapping(source).get("targets")).items():
                aliases.setdefault(alias, []).extend(_sets(target))
        for term in _mapping(phase).get("terms") or ():
            for single in expanded([term], heads) if _is_known(_mapping(term), heads) else ():
                for target in aliases.get(str(single.get("from")), ()):
                    yield target, single


def _is_known(term: Mapping[str, Any], heads: Mapping[str, str]) -> bool:
    if PRESET in term or term.get("loss") in MATCHES:
        return not term_problems(term, heads)
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


def _options(
    given: Mapping[str, dict[str, Any]], held: Mapping[str, Mapping[str, Any]], field: str, loss: str
) -> dict[str, Any]:
    """A field's options as params give them, or its defaults; those that are the teacher's left out."""
    if field in given:
        return given[field]
    kind = (kind_of(field) or (field, ()))[0]
    options = dict(held.get(field) or spec_of(field).resolve({}))
    if kind == "attention_scores" and field not in held:
        options["heads"] = MATCHES[loss].heads[0]
    if kind == "first_token" and field not in held:
        options["unit"] = True
    # A field of one layer has its layer in its name; where a field chooses its layer, it is an option.
    follows = {*SETTLED, "layers"} - (set() if FIELDS[kind].layers else {"layer"})
    return {name: value for name, value in options.items() if name not in follows}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
