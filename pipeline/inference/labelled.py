"""Labelled passages as a torch data set, with a batch that carries the gold spans."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from pipeline import fingerprint
from pipeline.inference.inputs import collate
from pipeline.schema import Passage
from pipeline.tasks.answers import NO_SPAN, gold_span
from pipeline.text.tokenizers import Encoder


class LabelledPassages(Dataset[dict[str, Any]]):
    """The passages whose gold answer the reader can see, encoded once.

    `skipped` counts the others: without an answer, or with one that the limits cut off.
    """

    def __init__(
        self, passages: Sequence[Passage], encoder: Encoder, *, max_length: int, max_question_tokens: int
    ) -> None:
        encoded = encoder.encode(
            [passage.question for passage in passages],
            [passage.text for passage in passages],
            max_length=max_length,
            max_question_tokens=max_question_tokens,
        )
        spans = [
            gold_span(passage.answers, row.passage_offsets)
            for passage, row in zip(passages, encoded, strict=True)
        ]
        # `input_ids` stands beside the row because Trainer takes a row's length from it.
        self._rows = [
            {"input_ids": row.input_ids, "encoded": row, "gold": span}
            for row, span in zip(encoded, spans, strict=True)
            if span != NO_SPAN
        ]
        self.skipped = len(encoded) - len(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._rows[index]


def labelled_batch(rows: Sequence[dict[str, Any]], *, pad_token_id: int) -> dict[str, Tensor]:
    """A padded batch as one flat mapping: what the model reads, `question`, `passage` and `gold`."""
    inputs = collate([row["encoded"] for row in rows], pad_token_id=pad_token_id)
    return {
        **inputs.tensors,
        "question": inputs.question,
        "passage": inputs.passage,
        "gold": torch.tensor([row["gold"] for row in rows], dtype=torch.int64),
    }


def identity(passages: Iterable[Passage]) -> str:
    """The hash, in hex, of what is learnt from `passages`: inputs, labels and their order."""
    return fingerprint.digest(
        part
        for passage in passages
        for part in (
            fingerprint.input_hash(passage.question, passage.text),
            fingerprint.gold_hash(passage.answers, passage.labels),
        )
    ).hex()
