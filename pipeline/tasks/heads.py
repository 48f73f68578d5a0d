"""The head that a task wants of a model."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.models.head import Head
from pipeline.tasks import SPAN, TASKS


def head_of(task: str, classes: Sequence[str]) -> Head | None:
    """The head for `task` with an output for each of `classes`; None for spans, which need nothing said."""
    if task == SPAN:
        return None
    return Head(TASKS[task].head, tuple(classes), TASKS[task].problem_type)


def heads_of(described: Mapping[str, Mapping[str, Any]]) -> dict[str, Head]:
    """The heads of a student with several, from their descriptions in its bound inputs."""
    return {name: _one_of_many(head) for name, head in described.items()}


def _one_of_many(described: Mapping[str, Any]) -> Head:
    task = TASKS[described["task"]]
    if described["outputs"] is not None:
        return Head(task.head, tuple(described["classes"]), None, is_score=True)
    classes = ("start", "end") if described["task"] == SPAN else tuple(described["classes"])
    return Head(task.head, classes, task.problem_type)
