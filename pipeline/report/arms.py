"""What each student is compared with: its teachers, and its twin that learns from gold labels alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GOLD = "gold"


@dataclass(frozen=True)
class Arm:
    """A student's company in the report.

    `teachers` are those whose targets it learns from, and their ensembles; `gold_only` is its twin, None
    where there is none.
    """

    teachers: tuple[str, ...] = ()
    gold_only: str | None = None


def pair_twins(students: Mapping[str, Mapping[str, Any]]) -> dict[str, str | None]:
    """For each student, the one that differs from it in nothing but having gold terms alone.

    Twins agree in model, tokenizer, the student that they start from, and in each phase's sources (targets
    aside), mixing and training. A student with gold terms alone has no twin, and neither has one whose twin
    was not trained. Of several the first by name counts.

    Args:
        students: The students' sections of params.
    """
    twins = {
        _shape(section): name for name, section in sorted(students.items(), reverse=True) if _gold(section)
    }
    return {
        name: None if _gold(section) else twins.get(_shape(section)) for name, section in students.items()
    }


def _gold(section: Mapping[str, Any]) -> bool:
    return all(term.get("loss") == GOLD for phase in section["phases"] for term in phase["terms"])


def _shape(section: Mapping[str, Any]) -> str:
    phases = [
        {key: value for key, value in phase.items() if key not in {"terms", "sources"}}
        | {"sources": [{**source, "targets": None} for source in phase["sources"]]}
        for phase in section["phases"]
    ]
    same = {key: section.get(key) for key in ("model", "tokenizer", "warm_start")}
    return repr(_ordered({**same, "phases": phases}))


def _ordered(value: Any) -> Any:
    """`value` with mappings in the order of their keys: how params order them means nothing."""
    if isinstance(value, Mapping):
        return sorted((str(key), _ordered(inner)) for key, inner in value.items())
    if isinstance(value, list | tuple):
        return [_ordered(inner) for inner in value]
    return value
