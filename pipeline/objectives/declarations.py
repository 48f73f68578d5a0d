"""What terms there are: their code, the cached fields they need, the options they take. Needs no torch.

A loss of one's own is named as "module:attribute". The attribute is a function with the signature of `kd_kl`,
which then compares span logits as that one does, or a `Declaration`.
"""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import ParamsError
from pipeline.registry import (
    call_problem,
    did_you_mean,
    fits,
    imported,
    is_path,
    keyword_options,
    kind_of,
)


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
        fields: The fields of a target set that it needs; none means that it takes no `from`.
        columns: The cached columns that training reads for it.
        options: What it accepts beside `loss`, `from`, `student` and `weight`.
        is_function: Whether `code` is a function over span logits instead, which a term is made around.
    """

    code: str
    fields: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    options: Mapping[str, Option] = field(default_factory=dict)
    is_function: bool = False


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


WEIGHT = Option(1.0, "a finite number, 0 or more", lambda value: _is_number(value) and value >= 0)

_REDUCTION = Option("mean", "'mean' or 'sum' (over start and end)", lambda value: value in ("mean", "sum"))

_SOFT = {
    "temperature": Option(1.0, "a finite number above 0", lambda value: _is_number(value) and value > 0),
    "scale_by_temperature_squared": Option(True, "true or false", lambda value: isinstance(value, bool)),
    "reduction": _REDUCTION,
}

_SPAN_LOGITS = ("start_logits", "end_logits")

DECLARATIONS: Mapping[str, Declaration] = {
    "answer_margin": Declaration("pipeline.objectives.answer_margin:AnswerMargin", fields=("top_spans",)),
    "gold": Declaration("pipeline.objectives.gold:Gold", options={"reduction": _REDUCTION}),
    "kd_ce": Declaration(
        "pipeline.objectives.soft_targets:KD_CE", ("span_logits",), _SPAN_LOGITS, options=_SOFT
    ),
    "kd_kl": Declaration(
        "pipeline.objectives.soft_targets:KD_KL", ("span_logits",), _SPAN_LOGITS, options=_SOFT
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
    ),
}

STUDENT_OUTPUTS = ("span",)

_COMMON = ("loss", "from", "student", "weight")


# What a term hands a function over span logits.
_LOGITS = ("student_logits", "teacher_logits")
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
    problem = call_problem(found, loss, "loss", _LOGITS) or (
        f"no keyword-only argument {', '.join(absent)}" if absent else None
    )
    if problem:
        raise ParamsError(
            loss,
            expected=f"a Declaration, or a function of ({', '.join([*_LOGITS, '*', *_HANDED])}, options)",
            got=problem,
            remedy="see kd_kl, and docs/extending.md",
        )
    own = {name: _option(value) for name, value in accepted.items() if name not in _HANDED}
    return Declaration(loss, ("span_logits",), _SPAN_LOGITS, {**_SOFT, **own}, is_function=True)


def _option(parameter: inspect.Parameter) -> Option:
    """An option of a function, as its signature tells it."""
    return Option(parameter.default, kind_of(parameter), lambda value: fits(value, parameter))


def required_fields(loss: str) -> tuple[str, ...]:
    """The fields that a target set must hold for a term with this loss."""
    return declaration_of(loss).fields


def needs(terms: Iterable[Mapping[str, Any]]) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """For each alias that `terms` name: the fields they need of it, and the columns that training reads."""
    found: dict[str, tuple[set[str], set[str]]] = {}
    for term in terms:
        declaration = declaration_of(term["loss"])
        if declaration.fields:
            fields, columns = found.setdefault(term["from"], (set(), set()))
            fields.update(declaration.fields)
            columns.update(declaration.columns)
    return {
        alias: (tuple(sorted(fields)), tuple(sorted(columns))) for alias, (fields, columns) in found.items()
    }


def options_of(term: Mapping[str, Any]) -> dict[str, Any]:
    """A valid term's own options, defaults filled in; a whole number where any may stand becomes a float."""
    options = declaration_of(term["loss"]).options
    return {name: _as(option.default, term.get(name, option.default)) for name, option in options.items()}


def _as(default: Any, value: Any) -> Any:
    return float(value) if isinstance(default, float) and value is not None else value


def term_problems(term: Mapping[str, Any]) -> list[str]:
    """What is wrong with one term of params: `loss`, `from`, `student`, `weight` and the loss's options."""
    loss = str(term.get("loss"))
    try:
        declaration = declaration_of(loss)
    except ParamsError as error:
        return [str(error)]
    return [
        *_source_problems(loss, declaration, term.get("from")),
        *_student_problems(term.get("student", STUDENT_OUTPUTS[0])),
        *_option_problems(loss, declaration, term),
    ]


def phase_problems(terms: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is wrong with valid terms taken together: what gold and soft terms must share."""
    shared = {
        "reduction": "start and end are reduced alike in every term of a phase",
        "student_layer": "a student is read at one layer",
    }
    problems = []
    for name, reason in shared.items():
        values = {options[name] for options in map(options_of, terms) if name in options}
        if len(values) > 1:
            listing = " and ".join(sorted(map(repr, values)))
            problems.append(f"{name}: expected one value for all terms ({reason}); got {listing}")
    return problems


def _source_problems(loss: str, declaration: Declaration, source: Any) -> list[str]:
    if declaration.fields and not isinstance(source, str):
        return [f"from: expected the alias of a target set, for loss {loss!r}; got {source!r}"]
    if not declaration.fields and source is not None:
        return [f"from: expected nothing, for loss {loss!r} reads no target set; got {source!r}"]
    return []


def _student_problems(student: Any) -> list[str]:
    if student in STUDENT_OUTPUTS:
        return []
    hint = did_you_mean(str(student), STUDENT_OUTPUTS)
    return [f"student: expected the name of a student's output; got {student!r}; {hint}"]


def _option_problems(loss: str, declaration: Declaration, term: Mapping[str, Any]) -> list[str]:
    options = {"weight": WEIGHT, **declaration.options}
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
    return problems
