"""Encoded rows as padded tensors, for a teacher that reads or learns."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedConfig

from pipeline.errors import ModelError
from pipeline.text.tokenizers import Encoded

# RoBERTa counts positions from the padding id on, so this many of its embeddings are never used.
_OFFSET_POSITIONS = {"roberta": 2, "xlm-roberta": 2, "camembert": 2}


class Inputs(NamedTuple):
    """A padded batch: what the model reads, and the token ranges of question and passage."""

    tensors: dict[str, Tensor]
    question: Int[Tensor, "batch 2"]
    passage: Int[Tensor, "batch 2"]


def collate(rows: Sequence[Encoded], *, pad_token_id: int) -> Inputs:
    """Pad `rows` to the longest of them."""
    lengths = np.array([len(row.input_ids) for row in rows])
    shape = (len(rows), int(lengths.max()))
    input_ids = np.full(shape, pad_token_id, np.int64)
    token_type_ids = np.zeros(shape, np.int64)
    for at, row in enumerate(rows):
        input_ids[at, : len(row.input_ids)] = row.input_ids
        token_type_ids[at, : len(row.input_ids)] = row.token_type_ids
    tensors = {
        "input_ids": torch.from_numpy(input_ids),
        "token_type_ids": torch.from_numpy(token_type_ids),
        "attention_mask": torch.from_numpy((np.arange(shape[1]) < lengths[:, None]).astype(np.int64)),
    }
    spelt = [row.character_ids for row in rows if row.character_ids is not None]
    if spelt:
        character_ids = np.zeros((*shape, spelt[0].shape[1]), np.int64)
        for at, characters in enumerate(spelt):
            character_ids[at, : len(characters)] = characters
        tensors["character_ids"] = torch.from_numpy(character_ids)
    question = torch.tensor([row.question for row in rows], dtype=torch.int64)
    passage = torch.tensor([row.passage for row in rows], dtype=torch.int64)
    return Inputs(tensors, question, passage)


def check_length(config: PreTrainedConfig, max_length: int, where: object) -> None:
    """Refuse rows longer than a model has positions for.

    Raises:
        ModelError: `max_length` is more than the model can read.
    """
    positions = getattr(config, "max_position_embeddings", None)
    if positions is None:
        return
    limit = positions - _OFFSET_POSITIONS.get(config.model_type, 0)
    if max_length > limit:
        raise ModelError(
            where,
            expected=f"at most {limit} tokens a row, as many as the model has positions for",
            got=f"a limit of {max_length}",
            remedy="lower the selection's max_tokens, or use a model with more positions",
        )
