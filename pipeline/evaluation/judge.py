"""Two ways to predict and score an evaluation set: spans, and labels of any other task."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from transformers import PreTrainedModel

from pipeline.evaluation.answers import score_answers
from pipeline.evaluation.fold import fold
from pipeline.evaluation.labeller import Labelled, Labeller, label_all
from pipeline.evaluation.reader import Reader, read_all
from pipeline.evaluation.rows import TokenRow
from pipeline.evaluation.vectors import Pooling
from pipeline.models.multi_head import predict_with
from pipeline.registry import imported
from pipeline.schema import Passage
from pipeline.tasks import SPAN, TASKS
from pipeline.tasks.scores import Judged

Advance = Callable[[int], None]


@runtime_checkable
class Judge(Protocol):
    """A model, and how what it says of a data set is scored."""

    @property
    def model(self) -> PreTrainedModel:
        """The model."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""

    def predict(self, rows: Sequence[TokenRow]) -> object:
        """What it says of the rows of one batch."""

    def judge(
        self, passages: Sequence[Passage], rows: Sequence[TokenRow], advance: Advance
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The predictions of all examples, and the scores of those that are labelled."""


def open_judge(
    folder: Path,
    described: Mapping[str, Any],
    *,
    max_answer_tokens: int,
    null_score_diff_threshold: float = 0.0,
    model: PreTrainedModel | None = None,
) -> Judge:
    """The judge for the evaluation inputs that are `described`.

    Args:
        folder: The model's folder, or only its tokenizer's where the model is given.
        described: What bind says of the inputs.
        max_answer_tokens: The longest answer.
        null_score_diff_threshold: As of `score_answers`.
        model: A model in memory, where it is; None loads the one in the folder.

    Raises:
        ModelError: The model cannot be loaded, or has not the task's head.
    """
    task, heads = described.get("task", SPAN), described.get("heads", ())
    if task == SPAN:
        reader = Reader.open(folder) if model is None else Reader.of(folder, model)
        predict_with(reader.model, heads)
        return SpanJudge(reader, described["language"], max_answer_tokens, null_score_diff_threshold)
    asked = task, described["classes"], heads, Pooling.of(described)
    labeller = Labeller.open(folder, *asked) if model is None else Labeller.of(folder, model, *asked)
    return LabelJudge(labeller, task)


@dataclass(frozen=True)
class SpanJudge:
    """Exact match and F1 of answers; a question that is given no answer scores 0, unless it has none."""

    reader: Reader
    language: str
    max_answer_tokens: int
    null_threshold: float

    @property
    def model(self) -> PreTrainedModel:
        """The model."""
        return self.reader.model

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.reader.device

    def predict(self, rows: Sequence[TokenRow]) -> object:
        """The best spans of the rows of one batch."""
        return self.reader.spans(rows, max_answer_tokens=self.max_answer_tokens)

    def judge(
        self, passages: Sequence[Passage], rows: Sequence[TokenRow], advance: Advance
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The answers to all examples, and the scores of those that are labelled."""
        spans = read_all(self.reader, rows, max_answer_tokens=self.max_answer_tokens, advance=advance)
        with_null = any(passage.is_impossible for passage in passages)
        answered = fold(passages, spans, with_null=with_null)
        return score_answers(answered, self.language, null_threshold=self.null_threshold)


@dataclass(frozen=True)
class LabelJudge:
    """Scores of a task's labels. Of an example in several windows the first one counts."""

    labeller: Labeller
    task: str

    @property
    def model(self) -> PreTrainedModel:
        """The model."""
        return self.labeller.model

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.labeller.device

    def predict(self, rows: Sequence[TokenRow]) -> object:
        """The labels of the rows of one batch."""
        return self.labeller.label(rows)

    def judge(
        self, passages: Sequence[Passage], rows: Sequence[TokenRow], advance: Advance
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The labels of all examples, and the scores of those that have gold ones."""
        said = label_all(self.labeller, rows, advance=advance)
        pairs = [
            (passage, labelled)
            for passage, labelled in zip(passages, said, strict=True)
            if passage.window == 0
        ]
        judged = [self._judged(*pair) for pair in pairs if pair[0].labels is not None]
        scores: dict[str, float] = {}
        if judged:
            scores = imported(str(TASKS[self.task].scores))(judged, self.labeller.classes)
        return [_row(*pair) for pair in pairs], {
            "task": self.task,
            **scores,
            "rows": len(judged),
            "unlabelled": len(pairs) - len(judged),
        }

    def _judged(self, passage: Passage, said: Labelled) -> Judged:
        golds = passage.labels or ()
        labels = said.labels
        if self.labeller.labels == "tags":
            # Words that selection cut off were not tagged.
            labels += ("O",) * (len(golds) - len(labels))
        return Judged(labels, said.values, golds, passage.question)


def _row(passage: Passage, said: Labelled) -> dict[str, Any]:
    golds = None if passage.labels is None else list(passage.labels)
    return {"id": passage.id, "prediction": list(said.labels), "values": list(said.values), "golds": golds}
