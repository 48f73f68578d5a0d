"""What a reader yields: rows that have the right types, and rows that do not."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.schema import Answer, Example

UNPLACED = -1
"""The start of an answer whose place its file does not say."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A row that cannot be an example, and why."""

    id: str
    reason: str
    detail: str


Rows = Mapping[str, Iterable[Example | Broken]]


def row(
    id: object, question: object, context: object, answers: object, is_impossible: object
) -> Example | Broken:
    """The example made of untrusted values, its texts and offsets unchecked.

    None for `answers` or `is_impossible` means that the row does not say. An answer that is none becomes
    an empty one, so that the row's other answers may save it.
    """
    name = id if isinstance(id, str) else "" if id is None else str(id)
    for field, value in (("question", question), ("context", context)):
        if not isinstance(value, str):
            return Broken(name, "malformed", f"{field}: expected text; got {shown(value)}")
    if not isinstance(answers, list | tuple | None):
        return Broken(name, "malformed", f"answers: expected a list; got {shown(answers)}")
    if not isinstance(is_impossible, bool | None):
        return Broken(name, "malformed", f"is_impossible: expected true or false; got {shown(is_impossible)}")
    golds = tuple(_answer(value) for value in answers or ())
    return Example(name, str(question), str(context), golds, bool(is_impossible))


def _answer(value: Any) -> Answer:
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        return Answer("", UNPLACED)
    start = value.get("answer_start")
    if not isinstance(start, int) or isinstance(start, bool):
        start = UNPLACED
    return Answer(value["text"], start)


def shown(value: object) -> str:
    """A short form of an untrusted value, for messages."""
    text = "nothing" if value is None else f"{type(value).__name__} {value!r}"
    return text if len(text) <= 80 else f"{text[:77]}..."
