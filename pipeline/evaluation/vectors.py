"""Sentence vectors of an encoder without a head, and how near to each other those of a pair of texts are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity
from transformers import PreTrainedModel

from pipeline.evaluation.rows import TokenRow, collate
from pipeline.models.observing import observe
from pipeline.models.reading import run
from pipeline.objectives.student_layers import StudentLayers

POOLER = "pooler"


@dataclass(frozen=True)
class Pooling:
    """What a sentence's vector is made of.

    Args:
        pooling: "first" for the first token's state, "mean" for that over all tokens, or "pooler".
        layer: The layer of these states, counted from the end where it is negative.
    """

    pooling: str = "first"
    layer: int = -1

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> "Pooling":
        """As `bind` describes an encoder's inputs."""
        return cls(**described.get("vector", {}))

    def vectors(self, model: PreTrainedModel, inputs: Mapping[str, Tensor]) -> Float[Tensor, "batch width"]:
        """One vector a row of a padded batch, in float32."""
        layers = () if self.pooling == POOLER else (self.layer % (model.config.num_hidden_layers + 1),)
        with observe(model, hidden=layers, pooled=self.pooling == POOLER) as observed:
            run(model, inputs)
        mask = inputs["attention_mask"].bool()
        return StudentLayers(observed, layers, None).sentence(self.pooling, mask).float()


FIRST = Pooling()


def texts_of(row: TokenRow) -> tuple[TokenRow, ...]:
    """A pair's two texts, each between the special tokens that stand around the pair; else the row itself."""
    (first, first_end), (second, second_end) = row.question, row.passage
    if first == first_end:
        return (row,)
    before, after = min(first, second), max(first_end, second_end)
    return tuple(_cut(row, before, slice(*text), after) for text in (row.question, row.passage))


def cosines(
    model: PreTrainedModel,
    rows: Sequence[TokenRow],
    pooling: Pooling,
    *,
    pad_token_id: int,
    device: torch.device,
) -> list[tuple[float, ...]]:
    """The cosine of the vectors of each pair's texts, nothing for a row of one text; read as one batch.

    Source: Wu et al. 2020, arXiv:2004.03097, sec. 5.5: what vectors are worth without any tuning.
    """
    texts = [texts_of(row) for row in rows]
    batch = collate([text for of_row in texts for text in of_row], pad_token_id=pad_token_id)
    inputs = {name: values.to(device) for name, values in batch.inputs.items()}
    vectors = iter(pooling.vectors(model, inputs).cpu())
    read = [[next(vectors) for _ in of_row] for of_row in texts]
    return [() if len(pair) == 1 else (float(cosine_similarity(pair[0], pair[1], dim=0)),) for pair in read]


def _cut(row: TokenRow, before: int, text: slice, after: int) -> TokenRow:
    def kept(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values[:before], values[text], values[after:]])

    input_ids = kept(row.input_ids)
    return TokenRow(
        input_ids=input_ids,
        token_type_ids=np.zeros_like(input_ids),
        character_ids=None if row.character_ids is None else kept(row.character_ids),
        question=(before, before),
        passage=(before, before + text.stop - text.start),
        passage_offsets=row.passage_offsets[:0],
    )
