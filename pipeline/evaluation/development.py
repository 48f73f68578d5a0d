"""Official scores of a model that is still in training, on a set that was bound for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from pipeline.errors import DataError
from pipeline.evaluation.evaluate import EvaluationSet, answers, open_set, summary
from pipeline.evaluation.metric import METRICS
from pipeline.evaluation.reader import Reader
from pipeline.files import read_json
from pipeline.models.vocabulary import Vocabulary


@dataclass(frozen=True)
class Development:
    """Called with a model, the scores of it; the model is left as it was.

    Args:
        opened: The set.
        score: Of one answer.
        tokenizer: The model's tokenizer folder.
        max_answer_tokens: The longest answer.
    """

    opened: EvaluationSet
    score: Any
    tokenizer: Path
    max_answer_tokens: int

    @classmethod
    def open(cls, inputs: Path, name: str, tokenizer: Path) -> "Development":
        """The set called `name`, which `bind` has put beside the training inputs in `inputs`.

        Raises:
            DataError: It has not, or the files are damaged.
        """
        described = read_json(inputs / "inputs.json", what="the description of a student's training inputs")
        bound = described["development"]
        opened = open_set(inputs, name, bound["sets"][name])
        return cls(opened, METRICS.load(described["language"]), tokenizer, bound["max_answer_tokens"])

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of its scores."""
        return ("em", "f1")

    def __call__(self, model: PreTrainedModel) -> Mapping[str, float]:
        """The scores, in percent."""
        was_training = model.training
        model.train(False)
        try:
            pad = Vocabulary.read(self.tokenizer).pad
            reader = Reader(self.tokenizer, model, pad, next(model.parameters()).device)
            rows = answers(reader, self.opened, self.score, max_answer_tokens=self.max_answer_tokens)
            scores = summary(rows)
        finally:
            model.train(was_training)
        if not scores["rows"]:
            raise DataError(
                "development set", expected="gold answers", got="none", remedy="name another set as eval_set"
            )
        return {name: float(scores[name]) for name in self.metrics}
