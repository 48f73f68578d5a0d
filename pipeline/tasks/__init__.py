"""What a task needs: features, gold loss, decoding. `TASKS` is the table; a task is an entry here."""

from collections.abc import Mapping
from types import MappingProxyType

from pipeline.tasks.task import Task

SPAN = "span"

# The architectures that point twice, at a start and at the end given it.
TWO_STEP_READERS = frozenset({"rmr"})

TASKS: Mapping[str, Task] = MappingProxyType(
    {
        SPAN: Task(
            "answers", "QuestionAnswering", "span_logits", ("start_logits", "end_logits"), "cross_entropy"
        ),
        "classification": Task(
            "class", "SequenceClassification", "class_logits", ("class_logits",), "cross_entropy"
        ),
    }
)
