"""What valid terms are about, and what they need of the target sets that they read. Needs no torch."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from pipeline.cache.fields import spec_of
from pipeline.objectives.declarations import END_ROWS, LOGITS, MATCH, NULL_ANSWER, NULL_LOGITS, declaration_of
from pipeline.objectives.expansion import expanded
from pipeline.objectives.matches import MATCHES, Held, chosen
from pipeline.objectives.presets import PRESET
from pipeline.tasks import SPAN, TASKS
from pipeline.tasks.task import Task


def is_headless(term: Mapping[str, Any]) -> bool:
    """Whether a term is about the student's encoder: a match, or a preset, that names no output."""
    return "student" not in term and (PRESET in term or term.get("loss") in MATCHES)


def task_of(term: Mapping[str, Any]) -> Task:
    """The task whose output a valid term is about."""
    return TASKS[term.get("student", SPAN)]


def fields_of(term: Mapping[str, Any], held: Held | None = None) -> tuple[str, ...]:
    """The fields that a target set must hold for a valid term.

    Args:
        term: The term.
        held: What the set holds; of several fields that a match can be made from, it is one of these.
    """
    declared = declaration_of(term["loss"]).fields
    if MATCH in declared:
        return chosen(term["loss"], term.get("teacher_layer"), held)
    named = tuple(task_of(term).field if name == LOGITS else name for name in declared)
    beside = {END_ROWS: END_ROWS, NULL_ANSWER: NULL_LOGITS} if LOGITS in declared else {}
    return (*named, *(field for option, field in beside.items() if term.get(option)))


def columns_of(term: Mapping[str, Any], held: Held | None = None) -> tuple[str, ...]:
    """The cached columns that training reads for a valid term; see `fields_of`."""
    declaration = declaration_of(term["loss"])
    if MATCH in declaration.fields:
        specs = ((spec_of(name), (held or {}).get(name, {})) for name in fields_of(term, held))
        return tuple(column.name for spec, options in specs for column in spec.given(spec.resolve(options)))
    logits = task_of(term).columns if LOGITS in declaration.fields else ()
    if term.get(END_ROWS):
        logits = tuple("gold_end_logits" if column == "end_logits" else column for column in logits)
    if LOGITS in declaration.fields and term.get(NULL_ANSWER):
        logits = (*logits, NULL_LOGITS)
    return (*declaration.columns, *logits)


def needs(
    terms: Iterable[Mapping[str, Any]],
    source: str | None = None,
    heads: Mapping[str, str] = MappingProxyType({}),
    held: Mapping[str, Held] = MappingProxyType({}),
) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """For each alias that `terms` name: the fields they need of it, and the columns that training reads.

    Args:
        terms: Valid terms.
        source: With it, what the terms that count its rows need.
        heads: The task of each of the student's heads, by its name.
        held: By alias, what the target sets hold, where that is known.
    """
    found: dict[str, tuple[set[str], set[str]]] = {}
    for term in expanded(terms, heads):
        if declaration_of(term["loss"]).fields and (source is None or reads_source(term, source)):
            fields, columns = found.setdefault(term["from"], (set(), set()))
            fields.update(fields_of(term, held.get(term["from"])))
            columns.update(columns_of(term, held.get(term["from"])))
    return {
        alias: (tuple(sorted(fields)), tuple(sorted(columns))) for alias, (fields, columns) in found.items()
    }


def reads_source(term: Mapping[str, Any], source: str) -> bool:
    """Whether a term counts the rows of a source, `<data set>.<split>`: of all, unless it names some."""
    return source in term.get("sources", (source,))


def options_of(term: Mapping[str, Any]) -> dict[str, Any]:
    """A valid term's own options, defaults filled in; a whole number where any may stand becomes a float."""
    options = declaration_of(term["loss"]).options
    return {name: _as(option.default, term.get(name, option.default)) for name, option in options.items()}


def _as(default: Any, value: Any) -> Any:
    return float(value) if isinstance(default, float) and value is not None else value
