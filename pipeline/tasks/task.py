"""What a task is to the rest of the pipeline: names, looked up where they are needed. Needs no torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """What is asked of a model about a row.

    Args:
        labels: What the labels of a row are: answers, or one of `pipeline.datasets.labels`.
        head: How the names of transformers' classes with the task's head end.
        field: The target field that holds a teacher's logits.
        columns: The field's columns that soft terms read.
        gold_loss: The loss of gold labels, a name in `pipeline.losses.LOSSES`.
    """

    labels: str
    head: str
    field: str
    columns: tuple[str, ...]
    gold_loss: str
