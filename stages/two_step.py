"""What params get wrong about readers whose end depends on their start: which of them have which ends."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.cache.fields import is_field, spec_of
from pipeline.files import read_json
from pipeline.objectives.declarations import END_ROWS, LOGITS, declaration_of
from pipeline.tasks import SPAN, TWO_STEP_READERS


def is_two_step(model: Mapping[str, Any]) -> bool | None:
    """Whether a model of params points twice; None where its folder is not there yet, or it is one's own."""
    if "architecture" in model:
        architecture = str(model["architecture"])
        return None if ":" in architecture else architecture in TWO_STEP_READERS
    config = Path(str(model.get("from"))) / "config.json"
    if not config.is_file():
        return None
    return bool(read_json(config, what="a model's config.json").get("two_step", False))


def field_problems(fields: Mapping[str, Any], teacher: str, model: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the fields that are asked of a teacher with one end for all starts."""
    two_step = [field for field in fields if is_field(field) and spec_of(field).two_step]
    if two_step and is_two_step(model) is False:
        yield (
            f"{', '.join(two_step)}: only of a two-step teacher ({', '.join(sorted(TWO_STEP_READERS))});"
            f" the end of {teacher!r} is the same for every start: leave out"
        )


def term_problem(
    term: Mapping[str, Any], student: Mapping[str, Any], teachers: Sequence[tuple[str, Mapping[str, Any]]]
) -> str | None:
    """What is wrong with a valid term whose student and teachers, by name, all point twice."""
    compares_ends = LOGITS in declaration_of(term["loss"]).fields and term.get("student", SPAN) == SPAN
    if not compares_ends or term.get(END_ROWS) or not is_two_step(student):
        return None
    name = next((name for name, model in teachers if is_two_step(model)), None)
    if name is None:
        return None
    return (
        f"expected '{END_ROWS}: true': the student's end is that given the gold start, and without it the end"
        f" of {name!r} is that given its own best start"
    )
