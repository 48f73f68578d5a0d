"""What stands on top of an encoder where a task is not spans: the kind of model, and its classes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transformers import AutoModel, AutoModelForSequenceClassification, AutoModelForTokenClassification

AUTO_CLASSES: Mapping[str, Any] = {
    "Model": AutoModel,
    "SequenceClassification": AutoModelForSequenceClassification,
    "TokenClassification": AutoModelForTokenClassification,
}


@dataclass(frozen=True)
class Head:
    """A head as transformers names and configures it.

    Args:
        kind: How the names of its classes end.
        classes: What its outputs stand for; none where there is one output, a number. Of a score, both.
        problem_type: What transformers calls the task, where it tells several apart.
        is_score: Whether its one output is the logit of the second of two classes.
    """

    kind: str
    classes: tuple[str, ...]
    problem_type: str | None
    is_score: bool = False

    @property
    def config(self) -> dict[str, Any]:
        """The settings of a model's configuration that say so."""
        names = ("score",) if self.is_score else self.classes or ("score",)
        told = {"problem_type": self.problem_type} if self.problem_type else {}
        return {
            "num_labels": len(names),
            "id2label": dict(enumerate(names)),
            "label2id": {name: number for number, name in enumerate(names)},
            **told,
        }
