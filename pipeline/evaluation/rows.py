"""Encoded rows, from an inputs folder or from text, and their padded batches."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from pipeline.cache.ragged import Ragged
from pipeline.schema import Passage
from pipeline.text.characters import WORD_CHARACTERS
from pipeline.text.tokenizers import Encoded

_Integers = NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class TokenRow:
    """What a model reads of one passage.

    `question` and `passage` are half-open ranges of tokens; `passage_offsets` are the characters of the
    passage's text that each token of the passage covers. `words` are the first pieces of its
    words, where these have tags.
    """

    input_ids: _Integers
    token_type_ids: _Integers
    character_ids: _Integers | None
    question: tuple[int, int]
    passage: tuple[int, int]
    passage_offsets: _Integers
    words: _Integers | None = None

    def __len__(self) -> int:
        return len(self.input_ids)


@dataclass(frozen=True)
class EvaluationSet:
    """The passages of one set, and how they are read: each as a row of tokens, or of what holds several."""

    passages: Sequence[Passage]
    rows: Sequence[Any]


@dataclass(frozen=True)
class Batch:
    """A padded batch, in host memory."""

    inputs: dict[str, Tensor]
    question: Int[Tensor, "batch 2"]
    passage: Int[Tensor, "batch 2"]


def stored_rows(columns: Mapping[str, Ragged]) -> list[TokenRow]:
    """The rows of an inputs file."""
    spelt = columns.get("character_ids")
    return [
        TokenRow(
            input_ids=columns["input_ids"].row(index),
            token_type_ids=columns["token_type_ids"].row(index),
            character_ids=spelt.row(index).reshape(-1, WORD_CHARACTERS) if spelt is not None else None,
            question=_range(columns["question"].row(index)),
            passage=_range(columns["passage"].row(index)),
            passage_offsets=columns["passage_offsets"].row(index).reshape(-1, 2),
            words=columns["words"].row(index) if "words" in columns else None,
        )
        for index in range(len(columns["input_ids"]))
    ]


def windows(encoded: Encoded, *, max_length: int, overlap: int) -> Iterator[TokenRow]:
    """Rows of at most `max_length` tokens that together show the whole passage of an uncut row.

    Each has the question and the special tokens of the whole row, and a run of its passage tokens; two
    neighbours share `overlap` of them. The text is tokenised once, so no window reads it differently.
    """
    begin, end = encoded.passage
    room = max_length - (len(encoded.input_ids) - (end - begin))
    if not 0 <= overlap < room:
        raise ValueError(f"windows of {room} passage tokens cannot share {overlap}")
    first = begin
    while True:
        last = min(first + room, end)
        yield _cut(encoded, first, last)
        if last == end:
            return
        first += room - overlap


def collate(rows: Sequence[TokenRow], *, pad_token_id: int) -> Batch:
    """Pad `rows` to the longest of them."""
    lengths = torch.tensor([len(row) for row in rows])
    inputs = {
        "input_ids": _padded([row.input_ids for row in rows], pad_token_id),
        "token_type_ids": _padded([row.token_type_ids for row in rows], 0),
        "attention_mask": (torch.arange(int(lengths.max())) < lengths[:, None]).long(),
    }
    spelt = [row.character_ids for row in rows if row.character_ids is not None]
    if spelt:
        inputs["character_ids"] = _padded(spelt, 0)
    return Batch(
        inputs,
        question=torch.tensor([row.question for row in rows]),
        passage=torch.tensor([row.passage for row in rows]),
    )


def _range(pair: _Integers) -> tuple[int, int]:
    return int(pair[0]), int(pair[1])


def _cut(encoded: Encoded, first: int, last: int) -> TokenRow:
    begin, end = encoded.passage

    def kept(values: _Integers) -> _Integers:
        return np.concatenate([values[:begin], values[first:last], values[end:]])

    # Where the passage comes first, the question moves with what is cut before it.
    shift = 0 if encoded.question[0] < begin else (last - first) - (end - begin)
    return TokenRow(
        input_ids=kept(encoded.input_ids),
        token_type_ids=kept(encoded.token_type_ids),
        character_ids=None if encoded.character_ids is None else kept(encoded.character_ids),
        question=(encoded.question[0] + shift, encoded.question[1] + shift),
        passage=(begin, begin + last - first),
        passage_offsets=encoded.passage_offsets[first - begin : last - begin],
    )


def _padded(rows: Sequence[_Integers], fill: int) -> Int[Tensor, "batch length *characters"]:
    longest = max(len(row) for row in rows)
    values = np.full((len(rows), longest, *rows[0].shape[1:]), fill, np.int64)
    for at, row in enumerate(rows):
        values[at, : len(row)] = row
    return torch.from_numpy(values)
