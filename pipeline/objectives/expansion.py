"""Terms of several teachers, as one term a teacher, and presets, as the terms that they stand for."""

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.objectives.presets import PRESET, preset_terms


def expanded(terms: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Valid terms, each with at most one alias in `from`.

    A term whose `from` lists aliases is the mean of its loss over them: a term for each, of its share of the
    weight. Where `student` is a list too, the first output follows the first alias, and so on.
    """
    single = []
    for term in terms:
        if PRESET in term:
            single += preset_terms(term)
            continue
        aliases, student = term.get("from"), term.get("student")
        if not isinstance(aliases, list):
            single.append(dict(term))
            continue
        for number, alias in enumerate(aliases):
            changed = {"from": alias, "weight": term.get("weight", 1.0) / len(aliases)}
            if isinstance(student, list):
                changed["student"] = student[number]
            single.append({**term, **changed})
    return single
