"""Labelled passages as a torch data set, with a batch that carries the gold labels."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from pipeline import fingerprint
from pipeline.inference.inputs import collate
from pipeline.schema import Passage
from pipeline.tasks.answers import NULL_SPAN
from pipeline.tasks.gold import first_pieces, gold_of, is_known
from pipeline.text.tokenizers import Encoder


class LabelledPassages(Dataset[dict[str, Any]]):
    """The passages whose gold label the reader can see, encoded once.

    `skipped` counts the others: without an answer, or with one that the limits cut off. `has_null` says
    whether there are questions among them that are known to have none.
    """

    def __init__(
        self,
        passages: Sequence[Passage],
        encoder: Encoder,
        *,
        max_length: int,
        max_question_tokens: int,
        labels: str = "answers",
        classes: Sequence[str] = (),
    ) -> None:
        encoded = encoder.encode(
            [passage.question for passage in passages],
            [passage.text for passage in passages],
            max_length=max_length,
            max_question_tokens=max_question_tokens,
        )
        self.labels = labels
        golds = [
            gold_of(labels, passage, row, classes) for passage, row in zip(passages, encoded, strict=True)
        ]
        # `input_ids` stands beside the row because Trainer takes a row's length from it.
        self._rows = [
            {"input_ids": row.input_ids, "encoded": row, "gold": gold, "text": passage.text}
            for passage, row, gold in zip(passages, encoded, golds, strict=True)
            if is_known(gold).any() and row.passage[0] < row.passage[1]
        ]
        self.skipped = len(encoded) - len(self._rows)
        self.has_null = labels == "answers" and any(tuple(gold) == NULL_SPAN for gold in golds)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._rows[index]


def labelled_batch(rows: Sequence[dict[str, Any]], *, pad_token_id: int, labels: str) -> dict[str, Any]:
    """A padded batch: `inputs` that the model reads, `question`, `passage`, `gold` and, of tags, `words`."""
    inputs = collate([row["encoded"] for row in rows], pad_token_id=pad_token_id)
    batch = {"inputs": inputs.tensors, "question": inputs.question, "passage": inputs.passage}
    golds = [torch.from_numpy(row["gold"]) for row in rows]
    if labels != "tags":
        gold = torch.stack(golds)
        gold = gold if gold.is_floating_point() else gold.long()
        return {**batch, "gold": gold[:, None] if labels == "classes" else gold}
    words = [
        torch.from_numpy(first_pieces(row["text"], row["encoded"].passage_offsets, row["encoded"].passage[0]))
        for row in rows
    ]
    gold, first = (pad_sequence(part, batch_first=True, padding_value=-1).long() for part in (golds, words))
    return {**batch, "gold": gold[:, None], "words": first}


def identity(passages: Iterable[Passage]) -> str:
    """The hash, in hex, of what is learnt from `passages`: inputs, labels and their order."""
    return fingerprint.digest(
        part
        for passage in passages
        for part in (
            fingerprint.input_hash(passage.question, passage.text),
            fingerprint.gold_hash(passage.answers, passage.labels),
            *(("is_impossible",) if passage.is_impossible else ()),
        )
    ).hex()
