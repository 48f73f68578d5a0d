"""Terms as params write them, as one term for each thing that a student follows."""

import itertools
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from pipeline.objectives.presets import PRESET, preset_terms

HEAD = "head"


def expanded(
    terms: Iterable[Mapping[str, Any]], heads: Mapping[str, str] = MappingProxyType({})
) -> list[dict[str, Any]]:
    """Valid terms, each with at most one alias in `from`, and a task in `student`.

    A term whose `from` lists aliases is the mean of its loss over them: a term for each, of its share of the
    weight. Where `student` is a list too, the first output follows the first alias, and so on. A term whose
    `student` is a head's name gets its task there, and the name as its `HEAD`. A preset is the terms that it
    stands for.

    Args:
        terms: The terms.
        heads: The task of each of the student's heads, by its name.
    """
    single = []
    for term in itertools.chain(*(preset_terms(term) if PRESET in term else [term] for term in terms)):
        aliases, student = term.get("from"), term.get("student")
        for number, alias in enumerate(aliases if isinstance(aliases, list) else [aliases]):
            own = dict(term)
            if isinstance(aliases, list):
                own |= {"from": alias, "weight": term.get("weight", 1.0) / len(aliases)}
            output = student[number] if isinstance(student, list) else student
            if output is not None:
                own["student"] = heads.get(output, output)
            if output in heads:
                own[HEAD] = output
            single.append(own)
    return single
