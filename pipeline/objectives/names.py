"""What terms are called in logs and summaries. Needs no torch."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.objectives.expansion import HEAD
from pipeline.objectives.matches import layers_of

# What tells terms of one loss apart, the first that does first.
_QUALIFIERS: tuple[Callable[[Mapping[str, Any]], Any], ...] = (
    lambda term: term.get(HEAD),
    lambda term: term.get("from"),
    lambda term: "_".join(map(str, layers_of(term.get("student_layer")))),
    lambda term: "_".join(map(str, layers_of(term.get("teacher_layer")))),
)


def term_names(terms: Sequence[Mapping[str, Any]]) -> list[str]:
    """A name of its own for each of the expanded terms of a phase.

    It is the loss (of "module:attribute" the attribute). Where several terms have one loss, what tells them
    apart is added: the student's head, the alias of the teacher, the layers of student and teacher; and the
    term's number, from 0, where nothing else does.
    """
    names = [str(term["loss"]).split(":")[-1] for term in terms]
    for qualifier in _QUALIFIERS:
        alike = _places_by_name(names)
        for places in alike.values():
            found = {place: qualifier(terms[place]) for place in places}
            if len(set(found.values())) > 1:
                for place, value in found.items():
                    names[place] += f"_{value}" if value not in (None, "") else ""
    repeated = {place for places in _places_by_name(names).values() if len(places) > 1 for place in places}
    return [f"{name}_{place}" if place in repeated else name for place, name in enumerate(names)]


def _places_by_name(names: Sequence[str]) -> dict[str, list[int]]:
    places = defaultdict(list)
    for place, name in enumerate(names):
        places[name].append(place)
    return places
