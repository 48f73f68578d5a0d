"""Official scores of a model that is still in training, on a set that was bound for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from pipeline.errors import DataError
from pipeline.evaluation.evaluate import open_set
from pipeline.evaluation.free_text import free_text_scores
from pipeline.evaluation.judge import open_judge
from pipeline.evaluation.reader import predict_all
from pipeline.evaluation.rows import EvaluationSet
from pipeline.files import read_json
from pipeline.models.multi_head import MultiHeadBert
from pipeline.tasks import FREE_TEXT_SCORES, SPAN, TASKS


@dataclass(frozen=True)
class Development:
    """Called with a model, the scores of it; the model is left as it was.

    Args:
        opened: The set.
        described: What bind says of the inputs.
        tokenizer: The model's tokenizer folder.
        free_text: Whether its gold answers are free text, which has scores of its own.
    """

    opened: EvaluationSet
    described: Mapping[str, Any]
    tokenizer: Path
    free_text: bool = False

    @classmethod
    def open(cls, inputs: Path, name: str, tokenizer: Path) -> "Development":
        """The set called `name`, which `bind` has put beside the training inputs in `inputs`.

        Raises:
            DataError: It has not, or the files are damaged.
        """
        described = read_json(inputs / "inputs.json", what="the description of a student's training inputs")
        entry = described["development"]["sets"][name]
        # Of a student with several heads, a set says itself what is asked about it.
        return cls(
            open_set(inputs, name, entry),
            {**described, **entry, "heads": entry.get("heads", ())},
            tokenizer,
            free_text=name.partition(".")[0] in described["development"].get("free_text", ()),
        )

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of its scores."""
        names = TASKS[self.described.get("task", SPAN)].score_names
        return names if self.free_text else tuple(name for name in names if name not in FREE_TEXT_SCORES)

    def __call__(self, model: PreTrainedModel) -> Mapping[str, float]:
        """The scores, in percent."""
        was_training, predicting = model.training, getattr(model.config, "predicting", None)
        model.train(False)
        try:
            held = self.described["development"]
            limits = {name: held[name] for name in ("max_answer_tokens", "null_score_diff_threshold")}
            judge = open_judge(self.tokenizer, self.described, **limits, model=model)
            said = predict_all(judge.predict, self.opened.rows)
            rows, scores = judge.score(self.opened.passages, said)
        finally:
            model.train(was_training)
            if isinstance(model, MultiHeadBert):
                model.config.predicting = predicting
        if not scores["rows"]:
            raise DataError(
                "development set", expected="gold answers", got="none", remedy="name another set as eval_set"
            )
        if self.free_text:
            scores |= free_text_scores(rows, self.described["language"])
        return {name: float(scores[name]) for name in self.metrics if name in scores}
