"""Lists of matches that have names: those of TextBrewer's published students. Needs no torch.

A preset stands where a term may, `{matches: T4-tiny, from: teacher}`, and is as many terms: `hidden_mse` and
`nst` on layers spread evenly over a teacher of 12 blocks and width 768, the embedding output included.

Source: Yang et al. 2020, TextBrewer, arXiv:2002.12620, sec. 4.1 and figure 3, and the lists of matches in its
examples.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.registry import did_you_mean

PRESET = "matches"

_TEACHER_WIDTH = 768


@dataclass(frozen=True)
class Preset:
    """The layers of one published student.

    Args:
        teacher_layers: The teacher's, each with the student's of the same place.
        student_layers: The student's.
        width: The student's; projected linearly where it is not the teacher's.
    """

    teacher_layers: tuple[int, ...]
    student_layers: tuple[int, ...]
    width: int = _TEACHER_WIDTH


PRESETS: Mapping[str, Preset] = {
    "T6": Preset((0, 2, 4, 6, 8, 10, 12), (0, 1, 2, 3, 4, 5, 6)),
    "T3": Preset((0, 4, 8, 12), (0, 1, 2, 3)),
    "T3-small": Preset((0, 4, 8, 12), (0, 1, 2, 3), 384),
    "T4-tiny": Preset((0, 3, 6, 9, 12), (0, 1, 2, 3, 4), 312),
    "T12-nano": Preset((0, 2, 4, 6, 8, 10, 12), (0, 2, 4, 6, 8, 10, 12), 256),
}

_KEYS = (PRESET, "from", "sources", "student", "weight", "weight_schedule")


def preset_terms(term: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The terms that a valid preset stands for; each has the preset's weight."""
    preset = PRESETS[term[PRESET]]
    shared = {name: value for name, value in term.items() if name != PRESET}
    projection = {"projection": {"kind": "linear", "in": preset.width, "out": _TEACHER_WIDTH}}
    layers = list(zip(preset.teacher_layers, preset.student_layers, strict=True))
    return [
        *(
            {"loss": "hidden_mse", **shared, "teacher_layer": theirs, "student_layer": own}
            | (projection if preset.width != _TEACHER_WIDTH else {})
            for theirs, own in layers
        ),
        *(
            {"loss": "nst", **shared, "teacher_layer": [theirs] * 2, "student_layer": [own] * 2}
            for theirs, own in layers
        ),
    ]


def preset_problems(term: Mapping[str, Any]) -> list[str]:
    """What is wrong with a preset of params, as far as no term says it."""
    name = term[PRESET]
    problems = [
        f"{key}: expected nothing beside a preset; got it; {did_you_mean(str(key), _KEYS)}"
        for key in term
        if key not in _KEYS
    ]
    if not isinstance(name, str) or name not in PRESETS:
        problems.append(
            f"{PRESET}: expected the name of a preset; got {name!r}; {did_you_mean(str(name), PRESETS)}"
        )
    return problems
