"""What a task is to the rest of the pipeline: names, looked up where they are needed. Needs no torch."""

from dataclasses import dataclass

from pipeline.datasets.labels import CLASSES


@dataclass(frozen=True)
class Task:
    """What is asked of a model about a row.

    Args:
        labels: What the labels of a row are: answers, or one of `pipeline.datasets.labels`.
        head: How the names of transformers' classes with the task's head end.
        field: The target field that holds a teacher's logits.
        columns: The field's columns that soft terms read.
        gold_loss: The loss of gold labels, a name in `pipeline.losses.LOSSES`; None where there are none.
        problem_type: What transformers calls the task of such a head, where it tells several apart.
        score_names: What its scores are called, the main one of labels first.
        scores: The function that scores predictions, "module:attribute"; of spans the language says which.
    """

    labels: str
    head: str
    field: str
    columns: tuple[str, ...]
    gold_loss: str | None
    score_names: tuple[str, ...]
    problem_type: str | None = None
    scores: str | None = None

    @property
    def has_classes(self) -> bool:
        """Whether its labels are classes, which the data set names."""
        return self.labels in CLASSES
