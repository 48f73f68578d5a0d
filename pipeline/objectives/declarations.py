"""What terms there are: their code, the cached fields they need, the options they take. Needs no torch.

A loss of one's own is named as "module:attribute". The attribute is a function with the signature of `kd_kl`,
which then compares logits as that one does, or a `Declaration`.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import ParamsError
from pipeline.objectives.matches import MATCHES
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
# The option of spans that may be none, and the field of what a teacher says of that.
NULL_ANSWER, NULL_LOGITS = "null_answer", "null_logits"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


WEIGHT = Option(1.0, "a finite number, 0 or more", lambda value: _is_number(value) and value >= 0)

WEIGHT_SCHEDULE = "weight_schedule"

# What every term takes.
WEIGHING = {
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


_FLAG = Option(False, "true or false", lambda value: isinstance(value, bool))

_SOFT = {
    "temperature": Option(1.0, "a finite number above 0", lambda value: _is_number(value) and value > 0),
    "temperature_schedule": Option(
        None,
        "{kind: flsw, beta: 1.0, gamma: 1.0}, {kind: cwsm, beta: 1.0} or {kind: constant}",
        lambda value: value is None or _is_temperature_schedule(value),
    ),
    "probability_shift": _FLAG,
    "scale_by_temperature_squared": Option(True, "true or false", lambda value: isinstance(value, bool)),
    "reduction": _REDUCTION,
    END_ROWS: _FLAG,
    NULL_ANSWER: _FLAG,
}

# Tasks whose classes exclude each other: a softmax over one number, or over several labels, says nothing.
_LABELLED = tuple(name for name, task in TASKS.items() if task.gold_loss is not None)
EXCLUSIVE = tuple(name for name, task in TASKS.items() if task.gold_loss == "cross_entropy")

_OF_TASKS: Mapping[str, Declaration] = {
    "answer_margin": Declaration(
        "pipeline.objectives.answer_margin:AnswerMargin", fields=("top_spans",), tasks=(SPAN,)
    ),
    GOLD: Declaration(
        "pipeline.objectives.gold:Gold",
        options={"reduction": _REDUCTION, NULL_ANSWER: _FLAG},
        tasks=_LABELLED,
    ),
    "kd_bce": Declaration(
        "pipeline.objectives.soft_targets:KD_BCE", (LOGITS,), options=_SOFT, tasks=_LABELLED
    ),
    "kd_ce": Declaration("pipeline.objectives.soft_targets:KD_CE", (LOGITS,), options=_SOFT, tasks=EXCLUSIVE),
    "kd_kl": Declaration("pipeline.objectives.soft_targets:KD_KL", (LOGITS,), options=_SOFT, tasks=EXCLUSIVE),
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


POOLING = Option("first", "'first', 'mean' or 'pooler'", lambda value: value in ("first", "mean", "pooler"))


def _match(loss: str) -> Declaration:
    match = MATCHES[loss]
    if loss == SENTENCE_COS:
        layer = Option(None, "a layer, from 0", lambda value: value is None or _is_layer(value))
        options = {"student_layer": layer, "student_pooling": POOLING}
    else:
        options = {side: _layer_option(match.layers) for side in ("student_layer", "teacher_layer")}
    if not match.of_blocks:
        options["projection"] = _PROJECTION
    return Declaration(f"pipeline.objectives.match:{loss.upper()}", (MATCH,), options=options)


DECLARATIONS: Mapping[str, Declaration] = {**_OF_TASKS, **{loss: _match(loss) for loss in MATCHES}}

COMMON = ("loss", "from", "student", "sources", "weight")

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
