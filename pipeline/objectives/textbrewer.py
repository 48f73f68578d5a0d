"""The terms that a DistillationConfig of TextBrewer stands for. Needs no torch.

What schedules do to weights differs: there they take the weight's place, here they multiply it. A weight
of 1, which it is in TextBrewer's own examples, is the same either way.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.errors import ParamsError
from pipeline.objectives.problems import term_problems
from pipeline.registry import did_you_mean

# TextBrewer's defaults.
_DEFAULTS: Mapping[str, Any] = {
    "temperature": 4,
    "temperature_scheduler": "none",
    "hard_label_weight": 0,
    "hard_label_weight_scheduler": "none",
    "kd_loss_type": "ce",
    "kd_loss_weight": 1,
    "kd_loss_weight_scheduler": "none",
    "probability_shift": False,
    "intermediate_matches": None,
    "is_caching_logits": False,
}

# TextBrewer's names of losses that have others here.
_LOSSES = {"mmd": "nst", "gram": "fsp"}

_MATCH_KEYS = ("layer_T", "layer_S", "feature", "loss", "weight", "proj")


def textbrewer_terms(config: Any, *, alias: str, student: str) -> list[dict[str, Any]]:
    """The terms of a DistillationConfig, as params write them.

    Logits are summed over start and end, and no term is multiplied by T^2, as there.

    Args:
        config: What the file holds.
        alias: What the teacher's target set is called among a source's targets.
        student: The student's output that soft and hard labels are about.

    Raises:
        ParamsError: It is no DistillationConfig, or asks for what there is not; all that is wrong at once.
    """
    if not isinstance(config, Mapping):
        raise _error([f"expected a mapping; got {type(config).__name__}"])
    known = {**_DEFAULTS, **config}
    problems = [
        f"{key}: unknown; {did_you_mean(str(key), _DEFAULTS)}" for key in config if key not in _DEFAULTS
    ]
    kd_loss = f"kd_{known['kd_loss_type']}"
    terms = [
        {
            "loss": "gold",
            "student": student,
            "weight": known["hard_label_weight"],
            **_weight_schedule(known["hard_label_weight_scheduler"]),
            "reduction": "sum",
        },
        {
            "loss": kd_loss,
            "from": alias,
            "student": student,
            "weight": known["kd_loss_weight"],
            **_weight_schedule(known["kd_loss_weight_scheduler"]),
            "temperature": known["temperature"],
            **_temperature_schedule(known["temperature_scheduler"]),
            **({"probability_shift": True} if known["probability_shift"] else {}),
            "scale_by_temperature_squared": False,
            "reduction": "sum",
        },
    ]
    terms = [term for term in terms if term["weight"] != 0]
    where = [term["loss"] for term in terms]
    for number, match in enumerate(known["intermediate_matches"] or []):
        at = f"intermediate_matches.{number}"
        if not isinstance(match, Mapping) or not {"layer_T", "layer_S", "loss"} <= match.keys():
            problems.append(f"{at}: expected a mapping with {', '.join(_MATCH_KEYS[:5])}; got {match!r}")
            continue
        problems += [
            f"{at}.{key}: unknown; {did_you_mean(str(key), _MATCH_KEYS)}"
            for key in match
            if key not in _MATCH_KEYS
        ]
        terms.append(_match_term(match, alias))
        where.append(at)
    for place, term in zip(where, terms, strict=True):
        problems += [f"{place}: {problem}" for problem in term_problems(term)]
    if not terms:
        problems.append("every weight is 0: nothing would be learnt")
    if problems:
        raise _error(problems)
    return terms


def _match_term(match: Mapping[str, Any], alias: str) -> dict[str, Any]:
    projection = match.get("proj")
    own = {}
    if isinstance(projection, Sequence) and len(projection) in (3, 4):
        kind, width, teacher_width, *options = projection
        rate = options[0].get("lr") if options and isinstance(options[0], Mapping) else None
        own["projection"] = {"kind": kind, "in": width, "out": teacher_width} | (
            {"learning_rate": rate} if rate else {}
        )
    elif projection:
        own["projection"] = projection  # refused with the sentence of params
    return {
        "loss": _LOSSES.get(match["loss"], match["loss"]),
        "from": alias,
        "teacher_layer": match["layer_T"],
        "student_layer": match["layer_S"],
        "weight": match.get("weight", 1),
        **own,
    }


def _weight_schedule(name: Any) -> dict[str, Any]:
    return {} if name in ("none", None) else {"weight_schedule": name}


def _temperature_schedule(written: Any) -> dict[str, Any]:
    """`flsw` and `cwsm` are written as lists there, with their options by place."""
    if written in ("none", "constant", None):
        return {}
    kind, *values = written if isinstance(written, list) else [written]
    options = dict(zip(("beta", "gamma"), values, strict=False))
    return {"temperature_schedule": {"kind": kind, **options}}


def _error(problems: Sequence[str]) -> ParamsError:
    return ParamsError(
        "DistillationConfig",
        expected="a configuration of TextBrewer that can be obeyed",
        got="; ".join(problems),
        remedy="mend the file, or write the terms by hand",
    )
