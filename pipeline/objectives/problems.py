"""What is wrong with terms of params, each alone and those of a phase together. Needs no torch."""

import inspect
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pipeline.errors import ParamsError
from pipeline.objectives.declarations import (
    COMMON,
    END_ROWS,
    EXCLUSIVE,
    NULL_ANSWER,
    POOLING,
    SENTENCE_COS,
    WEIGHING,
    Declaration,
    declaration_of,
)
from pipeline.objectives.expansion import expanded
from pipeline.objectives.matches import MATCHES
from pipeline.objectives.needs import is_headless, options_of
from pipeline.objectives.presets import PRESET, preset_problems, preset_terms
from pipeline.registry import did_you_mean
from pipeline.tasks import SPAN, TASKS


def term_problems(term: Mapping[str, Any], heads: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """What is wrong with one term of params: what every term has, and the loss's options.

    Args:
        term: The term.
        heads: The task of each of the student's heads, by its name.
    """
    if PRESET in term:
        if problems := preset_problems(term):
            return problems
        found = (problem for single in preset_terms(term) for problem in term_problems(single, heads))
        return list(dict.fromkeys(found))
    loss = str(term.get("loss"))
    try:
        declaration = declaration_of(loss)
    except ParamsError as error:
        return [str(error)]
    return [
        *_alias_problems(loss, declaration, term.get("from")),
        *_student_problems(loss, declaration, term, heads),
        *_source_problems(term),
        *_option_problems(loss, declaration, term),
        *_end_rows_problems(term),
        *_null_problems(term, heads),
        *_sentence_problems(term),
    ]


def phase_problems(
    terms: Sequence[Mapping[str, Any]], heads: Mapping[str, str] = MappingProxyType({})
) -> list[str]:
    """What is wrong with valid terms taken together: what gold and soft terms must share.

    Args:
        terms: The terms.
        heads: The task of each of the student's heads, by its name.
    """
    shared = {
        "reduction": "start and end are reduced alike in every term of a phase",
        "student_layer": "a student is read at one layer",
    }
    if not heads:
        shared[NULL_ANSWER] = "a softmax has the place of no answer in every term of a phase, or in none"
    problems = []
    students = {term.get("student", SPAN) for term in expanded(terms) if not is_headless(term)}
    if len(students) > 1 and not heads:
        problems.append(f"student: expected one output for all terms of a phase; got {sorted(students)}")
    for name, reason in shared.items():
        values = {
            options_of(term)[name]
            for term in expanded(terms)
            if term["loss"] not in MATCHES and name in declaration_of(term["loss"]).options
        }
        if len(values) > 1:
            listing = " and ".join(sorted(map(repr, values)))
            problems.append(f"{name}: expected one value for all terms ({reason}); got {listing}")
    return problems


def _alias_problems(loss: str, declaration: Declaration, source: Any) -> list[str]:
    if declaration.fields and not isinstance(source, str) and not _are_names(source):
        return [f"from: expected the alias of a target set, or several, for loss {loss!r}; got {source!r}"]
    if not declaration.fields and source is not None:
        return [f"from: expected nothing, for loss {loss!r} reads no target set; got {source!r}"]
    return []


def _student_problems(
    loss: str, declaration: Declaration, term: Mapping[str, Any], heads: Mapping[str, str]
) -> list[str]:
    if is_headless(term):
        return []
    student, source = term.get("student", SPAN), term.get("from")
    if isinstance(student, list) and (not isinstance(source, list) or len(student) != len(source)):
        return [f"student: expected one output, or one for each alias of 'from'; got {student!r}"]
    outputs = heads or {task: task for task in TASKS}
    known = [name for name, task in outputs.items() if task in (declaration.tasks or TASKS)]
    problems = []
    for output in student if isinstance(student, list) else [student]:
        if output not in known:
            whose = f" that loss {loss!r} is defined for" if output in outputs else ""
            hint = did_you_mean(str(output), known)
            problems.append(
                f"student: expected the name of a student's output{whose}; got {output!r}; {hint}"
            )
    return problems


def _source_problems(term: Mapping[str, Any]) -> list[str]:
    if "sources" not in term or _are_names(term["sources"]):
        return []
    return [f"sources: expected a list of sources, [<data set>.<split>, ...]; got {term['sources']!r}"]


def _are_names(value: Any) -> bool:
    names = isinstance(value, list) and all(isinstance(name, str) for name in value)
    return names and 0 < len(value) == len(set(value))


def _end_rows_problems(term: Mapping[str, Any]) -> list[str]:
    if not term.get(END_ROWS) or term.get("student", SPAN) == SPAN:
        return []
    return [f"{END_ROWS}: expected false: only spans have ends; got {term[END_ROWS]!r}"]


def _null_problems(term: Mapping[str, Any], heads: Mapping[str, str]) -> list[str]:
    student = str(term.get("student", SPAN))
    if not term.get(NULL_ANSWER) or heads.get(student, student) == SPAN:
        return []
    return [f"{NULL_ANSWER}: expected false: only spans can be none; got {term[NULL_ANSWER]!r}"]


def _sentence_problems(term: Mapping[str, Any]) -> list[str]:
    if term["loss"] != SENTENCE_COS:
        return []
    layer, pooling = term.get("student_layer"), term.get("student_pooling", POOLING.default)
    if pooling == "pooler" and layer is not None:
        return [f"student_layer: expected nothing, for the pooler reads the last layer; got {layer!r}"]
    if pooling != "pooler" and layer is None:
        return [f"student_layer: expected a layer, from 0, to pool by {pooling!r}; got nothing"]
    return []


def _option_problems(loss: str, declaration: Declaration, term: Mapping[str, Any]) -> list[str]:
    options = {**WEIGHING, **declaration.options}
    problems = []
    for name, option in options.items():
        if option.default is inspect.Parameter.empty and name not in term:
            problems.append(f"{name}: expected {option.expected}: loss {loss!r} has no default; got nothing")
    for name, value in term.items():
        if name in options:
            if not options[name].accepts(value):
                problems.append(f"{name}: expected {options[name].expected}; got {value!r}")
        elif name not in COMMON:
            hint = did_you_mean(name, options)
            problems.append(f"{name}: expected an option of loss {loss!r}; got an unknown one; {hint}")
    student = term.get("student", SPAN)
    if term.get("probability_shift") is True and isinstance(student, str) and student not in EXCLUSIVE:
        problems.append(f"probability_shift: expected a task with one right class; got {student!r}")
    return problems
