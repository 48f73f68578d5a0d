"""Two ways to predict and score an evaluation set: spans, and labels of any other task.

Either gives what its model believes of each row apart from what it decides by it, for ensembles.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from transformers import PreTrainedModel

from pipeline.evaluation.answers import score_answers
from pipeline.evaluation.fold import fold
from pipeline.evaluation.joint import NULL, best_spans, span_tables
from pipeline.evaluation.labeller import Belief, Labelled, Labeller
from pipeline.evaluation.reader import Reader, Span
from pipeline.evaluation.rows import TokenRow
from pipeline.evaluation.vectors import Pooling
from pipeline.models.multi_head import predict_with
from pipeline.models.reading import SpanOutputs
from pipeline.registry import imported
from pipeline.schema import Passage
from pipeline.tasks import RELEVANCE, SPAN, TASKS
from pipeline.tasks.judged import Judged, tags_of_words


@runtime_checkable
class Judge(Protocol):
    """A model or several, and how what is said of a data set is scored."""

    @property
    def models(self) -> tuple[PreTrainedModel, ...]:
        """Its models."""

    @property
    def device(self) -> torch.device:
        """Where they compute."""

    def predict(self, rows: Sequence[Any]) -> list[Any]:
        """What is said of each row of one batch."""

    def score(
        self, passages: Sequence[Passage], said: Sequence[Any]
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The predictions of all examples, and the scores of those that are labelled."""


@runtime_checkable
class Member(Judge, Protocol):
    """A judge of one model, whose probabilities can be averaged with those of others."""

    @property
    def classes(self) -> tuple[str, ...]:
        """What its probabilities are of; none where that is not classes."""

    def believe(self, rows: Sequence[TokenRow]) -> list[Belief]:
        """The probabilities that it decides by, of each row of one batch."""

    def decide(self, rows: Sequence[TokenRow], beliefs: Sequence[Belief]) -> list[Any]:
        """What is said of rows where these are the probabilities."""


def open_judge(
    folder: Path,
    described: Mapping[str, Any],
    *,
    max_answer_tokens: int,
    null_score_diff_threshold: float = 0.0,
    model: PreTrainedModel | None = None,
) -> Member:
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
    def models(self) -> tuple[PreTrainedModel, ...]:
        """The model."""
        return (self.reader.model,)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.reader.device

    @property
    def classes(self) -> tuple[str, ...]:
        """None: spans are of the row's own tokens."""
        return ()

    def predict(self, rows: Sequence[TokenRow]) -> list[Span | None]:
        """The best spans of the rows of one batch."""
        return self.reader.spans(rows, max_answer_tokens=self.max_answer_tokens)

    def believe(self, rows: Sequence[TokenRow]) -> list[Belief]:
        """The `span_tables` of each row: each span by its first token and how many more it has."""
        seen = [at for at, row in enumerate(rows) if len(row.passage_offsets)]
        beliefs: list[Belief] = [np.zeros((1, 0, 1))] * len(rows)
        if seen:
            outputs = self.reader.outputs([rows[at] for at in seen])
            tables = span_tables(_arrays(outputs), self.max_answer_tokens)
            for place, at in enumerate(seen):
                beliefs[at] = tables[:, place, : len(rows[at].passage_offsets)]
        return beliefs

    def decide(self, rows: Sequence[TokenRow], beliefs: Sequence[Belief]) -> list[Span | None]:
        """The likeliest span of each row."""
        return best_spans(beliefs, [row.passage_offsets for row in rows])

    def score(
        self, passages: Sequence[Passage], said: Sequence[Span | None]
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The answers to all examples, and the scores of those that are labelled."""
        with_null = any(passage.is_impossible for passage in passages)
        answered = fold(passages, said, with_null=with_null)
        return score_answers(answered, self.language, null_threshold=self.null_threshold)


@dataclass(frozen=True)
class LabelJudge:
    """Scores of a task's labels. Of an example in several windows the first one counts."""

    labeller: Labeller
    task: str

    @property
    def models(self) -> tuple[PreTrainedModel, ...]:
        """The model."""
        return (self.labeller.model,)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.labeller.device

    @property
    def classes(self) -> tuple[str, ...]:
        """Those of its labels."""
        return self.labeller.classes

    def predict(self, rows: Sequence[TokenRow]) -> list[Labelled]:
        """The labels of the rows of one batch."""
        return self.labeller.label(rows)

    def believe(self, rows: Sequence[TokenRow]) -> list[Belief]:
        """The probabilities of the labels of each row."""
        return self.labeller.believe(rows)

    def decide(self, rows: Sequence[TokenRow], beliefs: Sequence[Belief]) -> list[Labelled]:
        """The labels that follow from probabilities."""
        return [self.labeller.decide(belief) for belief in beliefs]

    def score(
        self, passages: Sequence[Passage], said: Sequence[Labelled]
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The labels of all examples, and the scores of those that have gold ones."""
        pairs = [
            (passage, self._compared(labelled))
            for passage, labelled in zip(passages, said, strict=True)
            if passage.window == 0
        ]
        judged = [self._judged(*pair) for pair in pairs if pair[0].labels is not None]
        scores: dict[str, float] = {}
        if judged:
            scores = imported(str(TASKS[self.task].scores))(judged, self.labeller.classes)
        return [self._row(*pair) for pair in pairs], {
            "task": self.task,
            **scores,
            "rows": len(judged),
            "unlabelled": len(pairs) - len(judged),
        }

    def _row(self, passage: Passage, said: Labelled) -> dict[str, Any]:
        golds = None if passage.labels is None else list(passage.labels)
        row = {"id": passage.id, "prediction": list(said.labels), "values": list(said.values), "golds": golds}
        # What rows are ranked together by.
        return row | ({"question": passage.question} if self.task == RELEVANCE else {})

    def _compared(self, said: Labelled) -> Labelled:
        """What is said of a pair; a text that the tokenizer knows nothing of is like no other."""
        return said if said.values or self.labeller.labels != "none" else replace(said, values=(0.0,))

    def _judged(self, passage: Passage, said: Labelled) -> Judged:
        golds = passage.labels or ()
        labels = said.labels
        if self.labeller.labels == "tags":
            labels = tags_of_words(labels, golds)
        return Judged(labels, said.values, golds, passage.question)


def _arrays(outputs: SpanOutputs) -> dict[str, np.ndarray]:
    """Span outputs as a cache holds them."""
    arrays = {
        "start_logits": outputs.start_logits,
        "end_logits": outputs.end_logits,
        "passage_length": outputs.passage_mask.sum(1),
    }
    if outputs.null_logits is not None:
        arrays[NULL] = outputs.null_logits
    if outputs.best_starts is not None and outputs.best_end_logits is not None:
        arrays |= {
            "best_starts": outputs.best_starts,
            "best_end_logits": outputs.best_end_logits,
            "start_length": outputs.best_starts.ge(0).sum(1),
        }
    return {name: values.cpu().numpy() for name, values in arrays.items()}
