"""Vectors of sentences, from an encoder without a head."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

from pipeline.errors import ParamsError
from pipeline.evaluation.labeller import Labeller
from pipeline.evaluation.reader import longest_row, predict_all
from pipeline.evaluation.rows import TokenRow, collate, windows
from pipeline.evaluation.vectors import Pooling
from pipeline.tasks import SENTENCE
from pipeline.text.tokenizers import Encoder


@dataclass(frozen=True)
class VectorPredictor:
    """An encoder that gives each row the `vector` of its text, which is cut as `LabelPredictor` cuts it."""

    encoder: Labeller
    tokenizer: Encoder
    max_length: int

    needed: ClassVar[tuple[str, ...]] = ("text",)
    optional: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def open(
        cls, folder: Path, pooling: Pooling | None, *, max_length: int | None = None
    ) -> "VectorPredictor":
        """The encoder in `folder`.

        Raises:
            ModelError: It cannot be loaded.
            ParamsError: Nothing says what its vectors are made of: encoders are trained for one way alone.
        """
        if pooling is None:
            raise ParamsError(
                "pooling",
                expected=f"what the vectors of {folder.name}, an encoder without a head, are made of",
                got="nothing",
                remedy="say '--pooling first', 'mean' or 'pooler', as the encoder was trained",
            )
        encoder = Labeller.open(folder, SENTENCE, (), pooling=pooling)
        return cls(encoder, Encoder.open(folder), max_length or longest_row(encoder.model))

    def answers(self, rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        """The vector of each row's text."""
        texts = [row["text"] for row in rows]
        encoded = self.tokenizer.encode(
            [""] * len(texts), texts, max_length=self.max_length, max_question_tokens=1
        )
        cut = [row for whole in encoded for row in windows(whole, max_length=self.max_length, overlap=0)]
        for whole, vector in zip(encoded, predict_all(self._vectors, cut), strict=True):
            if not len(whole.passage_offsets):
                yield {"error": "text: no token of it is known to the tokenizer"}
                continue
            yield {"vector": vector, **({"cut": True} if whole.lost_passage_tokens else {})}

    @torch.inference_mode()
    def _vectors(self, rows: Sequence[TokenRow]) -> list[list[float]]:
        batch = collate(rows, pad_token_id=self.encoder.pad_token_id)
        inputs = {name: values.to(self.encoder.device) for name, values in batch.inputs.items()}
        found: list[list[float]] = self.encoder.pooling.vectors(self.encoder.model, inputs).tolist()
        return found
