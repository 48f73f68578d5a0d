"""Labels of texts and pairs: classes with their probabilities, numbers, tags of words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.datasets.labels import words
from pipeline.evaluation.asked import Asked
from pipeline.evaluation.labeller import Labelled, Labeller
from pipeline.evaluation.reader import longest_row, predict_all, question_limit
from pipeline.evaluation.rows import TokenRow, windows
from pipeline.tasks import TAGGING
from pipeline.tasks.gold import first_pieces
from pipeline.text.tokenizers import Encoded, Encoder


@dataclass(frozen=True)
class LabelPredictor:
    """A model that gives each row its label, as its task has it.

    A class comes as `label` with its probability as `score`, several as `labels`, either with the
    `probabilities` of all classes; a number as `value`; tags as `words` and `tags`. A text longer than the
    model reads is cut, as where models are trained and scored; `cut` says so, and words beyond have tag O.
    """

    labeller: Labeller
    encoder: Encoder
    max_length: int
    max_question_tokens: int
    needed: tuple[str, ...]
    optional: tuple[str, ...]

    @classmethod
    def open(
        cls,
        folder: Path,
        asked: Asked,
        *,
        max_question_tokens: int | None = None,
        max_length: int | None = None,
    ) -> "LabelPredictor":
        """The finished model in `folder`.

        Raises:
            ModelError: It cannot be loaded.
        """
        labeller = Labeller.open(folder, asked.task, asked.classes, asked.heads)
        encoder = Encoder.open(folder)
        length = max_length or longest_row(labeller.model)
        return cls(
            labeller,
            encoder,
            length,
            question_limit(max_question_tokens, length, encoder),
            ("question", "text") if asked.pairs else ("text",),
            # Words are tagged without a question, and some models know from their making what they read.
            ("question",) if asked.pairs is None and asked.task != TAGGING else (),
        )

    def answers(self, rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        """The labels of each row."""
        questions = self.needed + self.optional
        encoded = self.encoder.encode(
            [row.get("question", "") if "question" in questions else "" for row in rows],
            [row["text"] for row in rows],
            max_length=self.max_length,
            max_question_tokens=self.max_question_tokens,
        )
        known = [self._row(row["text"], whole) for row, whole in zip(rows, encoded, strict=True)]
        said = iter(predict_all(self.labeller.label, [row for row in known if row is not None]))
        for row, whole, tokens in zip(rows, encoded, known, strict=True):
            if tokens is None:
                yield {"error": "text: no token of it is known to the tokenizer"}
                continue
            cut = {"cut": True} if whole.lost_passage_tokens or whole.lost_question_tokens else {}
            yield {**self._described(row["text"], next(said)), **cut}

    def _row(self, text: str, encoded: Encoded) -> TokenRow | None:
        if not len(encoded.passage_offsets):
            return None
        (row,) = windows(encoded, max_length=self.max_length, overlap=0)
        if self.labeller.labels != "tags":
            return row
        return replace(row, words=first_pieces(text, encoded.passage_offsets, encoded.passage[0]))

    def _described(self, text: str, said: Labelled) -> dict[str, Any]:
        labels = self.labeller.labels
        if labels == "tags":
            own = [text[start:end] for start, end in words(text)]
            return {"words": own, "tags": list(said.labels)}
        if labels == "number":
            return {"value": said.values[0]}
        probabilities = dict(zip(self.labeller.classes, said.values, strict=True))
        if labels == "classes":
            return {"labels": list(said.labels), "probabilities": probabilities}
        (label,) = said.labels
        return {"label": label, "score": probabilities[label], "probabilities": probabilities}
