"""What terms there are: their code, the cached fields they need, the options they take. Needs no torch.

A loss of one's own is named as "module:attribute". The attribute is a function with the signature of `kd_kl`,
which then compares logits as that one does, or a `Declaration`.
"""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from pipeline.cache.fields import spec_of
from pipeline.errors import ParamsError
from pipeline.objectives.expansion import expanded
from pipeline.objectives.matches import MATCHES, Held, chosen
from pipeline.objectives.presets import PRESET, preset_problems, preset_terms
from pipeline.objectives.projections import PROJECTIONS
from pipeline.registry import (
    call_problem,
    did_you_mean,
    fits,
    imported,
    is_path,
    keyword_options,
    kind_of,
)
from pipeline.schedules import CONSTANT, TEMPERATURE_SCHEDULES, WEIGHT_SCHEDULES
from pipeline.tasks import SPAN, TASKS
from pipeline.tasks.task import Task


@dataclass(frozen=True)
class Option:
    """A setting of a term: its default, and which values it takes."""

    default: Any
    expected: str
    accepts: Callable[[Any], bool]


@dataclass(frozen=True)
class Declaration:
    """One kind of term.

    Args:
        code: Where its class stands, "module:attribute": it is called with a term's name, weight and options,
            and with its source where it reads one.
        fields: The fields of a target set that it needs; none means that it takes no `from`. `LOGITS` stands
            for the field with the logits of the student's task, `MATCH` for those of the teacher's layers.
        columns: The cached columns that training reads for it, those of `LOGITS` and `MATCH` aside.
        options: What it accepts beside `loss`, `from`, `student`, `sources` and `weight`.
        tasks: The tasks that it is defined for; all where there is none.
        is_function: Whether `code` is a function over logits instead, which a term is made around.
    """

    code: str
    fields: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    options: Mapping[str, Option] = field(default_factory=dict)
    tasks: tuple[str, ...] = ()
    is_function: bool = False


GOLD = "gold"
LOGITS = "logits"
MATCH = "match"
SENTENCE_COS = "sentence_cos"
# The option, and the field, of ends that are given the gold start.
END_ROWS = "end_rows"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


WEIGHT = Option(1.0, "a finite number, 0 or more", lambda value: _is_number(value) and value >= 0)

WEIGHT_SCHEDULE = "weight_schedule"

# What every term takes.
_WEIGHING = {
    "weight": WEIGHT,
    WEIGHT_SCHEDULE: Option(
        CONSTANT,
        f"one of {', '.join(WEIGHT_SCHEDULES.names())}, or module:attribute",
        lambda value: isinstance(value, str) and WEIGHT_SCHEDULES.name_problem(value) is None,
    ),
}

_REDUCTION = Option("mean", "'mean' or 'sum' (over start and end)", lambda value: value in ("mean", "sum"))

# The key of a schedule's or a projection's name, beside its options.
KIND = "kind"


def _is_temperature_schedule(value: Any) -> bool:
    if not isinstance(value, Mapping) or TEMPERATURE_SCHEDULES.name_problem(str(value.get(KIND))) is not None:
        return False
    options = {name: option for name, option in value.items() if name != KIND}
    handed: dict[str, Any] = {"mask": None, "counted": None, "temperature": 1.0}
    return (
        not options.keys() & handed
        and all(map(_is_number, options.values()))
        and options.get("gamma", 0) >= 0
        and not TEMPERATURE_SCHEDULES.option_problems(value[KIND], options | handed)
    )


_SOFT = {
    "temperature": Option(1.0, "a finite number above 0", lambda value: _is_number(value) and value > 0),
    "temperature_schedule": Option(
        None,
        "{kind: flsw, beta: 1.0, gamma: 1.0}, {kind: cwsm, beta: 1.0} or {kind: constant}",
        lambda value: value is None or _is_temperature_schedule(value),
    ),
    "probability_shift": Option(False, "true or false", lambda value: isinstance(value, bool)),
    "scale_by_temperature_squared": Option(True, "true or false", lambda value: isinstance(value, bool)),
    "reduction": _REDUCTION,
    END_ROWS: Option(False, "true or false", lambda value: isinstance(value, bool)),
}

# Tasks whose classes exclude each other: a softmax over one number, or over several labels, says nothing.
_LABELLED = tuple(name for name, task in TASKS.items() if task.gold_loss is not None)
_EXCLUSIVE = tuple(name for name, task in TASKS.items() if task.gold_loss == "cross_entropy")

_OF_TASKS: Mapping[str, Declaration] = {
    "answer_margin": Declaration(
        "pipeline.objectives.answer_margin:AnswerMargin", fields=("top_spans",), tasks=(SPAN,)
    ),
    GOLD: Declaration("pipeline.objectives.gold:Gold", options={"reduction": _REDUCTION}, tasks=_LABELLED),
    "kd_bce": Declaration(
        "pipeline.objectives.soft_targets:KD_BCE", (LOGITS,), options=_SOFT, tasks=_LABELLED
    ),
    "kd_ce": Declaration(
        "pipeline.objectives.soft_targets:KD_CE", (LOGITS,), options=_SOFT, tasks=_EXCLUSIVE
    ),
    "kd_kl": Declaration(
        "pipeline.objectives.soft_targets:KD_KL", (LOGITS,), options=_SOFT, tasks=_EXCLUSIVE
    ),
    "kd_mse": Declaration(
        "pipeline.objectives.soft_targets:KD_MSE", (LOGITS,), options=_SOFT, tasks=_LABELLED
    ),
    "qa_attention_mse": Declaration(
        "pipeline.objectives.qa_attention:QaAttention",
        ("qa_attention",),
        ("qa_attention", "passage_offsets", "question_offsets"),
        options={
            "student_layer": Option(
                -2,
                "a layer's index",
                lambda value: isinstance(value, int) and not isinstance(value, bool),
            )
        },
        tasks=(SPAN,),
    ),
    "soft_score_mse": Declaration(
        "pipeline.objectives.soft_score:SoftScore",
        (LOGITS,),
        tasks=tuple(name for name, task in TASKS.items() if task.field == "class_logits"),
    ),
}


def _is_layer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_pair(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_layer, value))


def _is_projection(value: Any) -> bool:
    if not isinstance(value, Mapping) or value.keys() - {"learning_rate"} != {KIND, "in", "out"}:
        return False
    rate = value.get("learning_rate", 1.0)
    widths = (value["in"], value["out"])
    return (
        PROJECTIONS.name_problem(str(value[KIND])) is None
        and all(_is_layer(width) and width > 0 for width in widths)
        and (rate is None or (_is_number(rate) and rate > 0))
    )


def _layer_option(layers: int) -> Option:
    if layers == 1:
        return Option(inspect.Parameter.empty, "a layer, from 0", _is_layer)
    expected = "a layer, from 0, or a pair of layers such as [3, 6]"
    return Option(inspect.Parameter.empty, expected, lambda value: _is_layer(value) or _is_pair(value))


_PROJECTION = Option(
    None,
    "{kind: linear, in: 312, out: 768, learning_rate: 1.0e-4}, the last if need be, kind one of "
    f"{', '.join(PROJECTIONS.names())}, or module:attribute",
    lambda value: value is None or _is_projection(value),
)


_POOLING = Option("first", "'first', 'mean' or 'pooler'", lambda value: value in ("first", "mean", "pooler"))


def _match(loss: str) -> Declaration:
    match = MATCHES[loss]
    if loss == SENTENCE_COS:
        layer = Option(None, "a layer, from 0", lambda value: value is None or _is_layer(value))
        options = {"student_layer": layer, "student_pooling": _POOLING}
    else:
        options = {side: _layer_option(match.layers) for side in ("student_layer", "teacher_layer")}
    if not match.of_blocks:
        options["projection"] = _PROJECTION
    return Declaration(f"pipeline.objectives.match:{loss.upper()}", (MATCH,), options=options)


DECLARATIONS: Mapping[str, Declaration] = {**_OF_TASKS, **{loss: _match(loss) for loss in MATCHES}}

_COMMON = ("loss", "from", "student", "sources", "weight")

# What a term hands a function over logits.
_ARGUMENTS = ("student_logits", "teacher_logits")
_HANDED = ("mask", "counted", "temperature", "mass")


def declaration_of(loss: str) -> Declaration:
    """The declaration of a loss, by its name in `DECLARATIONS` or as "module:attribute".

    Raises:
        ParamsError: There is none, or it cannot be called as losses are.
    """
    if loss in DECLARATIONS:
        return DECLARATIONS[loss]
    if not is_path(loss):
        raise ParamsError(
            "loss",
            expected="the name of a loss, or module:attribute",
            got=repr(loss),
            remedy=did_you_mean(loss, DECLARATIONS),
        )
    found = imported(loss)
    if isinstance(found, Declaration):
        return found
    accepted = keyword_options(found) if callable(found) else {}
    absent = [name for name in _HANDED if name not in accepted]
    problem = call_problem(found, loss, "loss", _ARGUMENTS) or (
        f"no keyword-only argument {', '.join(absent)}" if absent else None
    )
    if problem:
        raise ParamsError(
            loss,
            expected=f"a Declaration, or a function of ({', '.join([*_ARGUMENTS, '*', *_HANDED])}, options)",
            got=problem,
            remedy="see kd_kl, and docs/extending.md",
        )
    own = {name: _option(value) for name, value in accepted.items() if name not in _HANDED}
    return Declaration(loss, (LOGITS,), options={**_SOFT, **own}, is_function=True)


def _option(parameter: inspect.Parameter) -> Option:
    """An option of a function, as its signature tells it."""
    return Option(parameter.default, kind_of(parameter), lambda value: fits(value, parameter))


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
    return (*named, END_ROWS) if term.get(END_ROWS) else named


def columns_of(term: Mapping[str, Any], held: Held | None = None) -> tuple[str, ...]:
    """The cached columns that training reads for a valid term; see `fields_of`."""
    declaration = declaration_of(term["loss"])
    if MATCH in declaration.fields:
        specs = ((spec_of(name), (held or {}).get(name, {})) for name in fields_of(term, held))
        return tuple(column.name for spec, options in specs for column in spec.given(spec.resolve(options)))
    logits = task_of(term).columns if LOGITS in declaration.fields else ()
    if term.get(END_ROWS):
        logits = tuple("gold_end_logits" if column == "end_logits" else column for column in logits)
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


def _sentence_problems(term: Mapping[str, Any]) -> list[str]:
    if term["loss"] != SENTENCE_COS:
        return []
    layer, pooling = term.get("student_layer"), term.get("student_pooling", _POOLING.default)
    if pooling == "pooler" and layer is not None:
        return [f"student_layer: expected nothing, for the pooler reads the last layer; got {layer!r}"]
    if pooling != "pooler" and layer is None:
        return [f"student_layer: expected a layer, from 0, to pool by {pooling!r}; got nothing"]
    return []


def _option_problems(loss: str, declaration: Declaration, term: Mapping[str, Any]) -> list[str]:
    options = {**_WEIGHING, **declaration.options}
    problems = []
    for name, option in options.items():
        if option.default is inspect.Parameter.empty and name not in term:
            problems.append(f"{name}: expected {option.expected}: loss {loss!r} has no default; got nothing")
    for name, value in term.items():
        if name in options:
            if not options[name].accepts(value):
                problems.append(f"{name}: expected {options[name].expected}; got {value!r}")
        elif name not in _COMMON:
            hint = did_you_mean(name, options)
            problems.append(f"{name}: expected an option of loss {loss!r}; got an unknown one; {hint}")
    student = term.get("student", SPAN)
    if term.get("probability_shift") is True and isinstance(student, str) and student not in _EXCLUSIVE:
        problems.append(f"probability_shift: expected a task with one right class; got {student!r}")
    return problems
