"""The head that a task wants of a model."""

from collections.abc import Sequence

from pipeline.models.head import Head
from pipeline.tasks import SPAN, TASKS


def head_of(task: str, classes: Sequence[str]) -> Head | None:
    """The head for `task` with an output for each of `classes`; None for spans, which need nothing said."""
    if task == SPAN:
        return None
    return Head(TASKS[task].head, tuple(classes), TASKS[task].problem_type)
