"""Readers that compare every passage word with every question word, and hand the comparison out."""

from dataclasses import dataclass

from torch import FloatTensor
from transformers.modeling_outputs import QuestionAnsweringModelOutput


@dataclass
class SimilarityOutput(QuestionAnsweringModelOutput):
    """Span logits with the similarity they were read from.

    `similarity` holds raw scores, batch x passage x question, both packed to the left of their axis.
    """

    similarity: FloatTensor | None = None


class SimilarityReader:
    """Marks a model whose output is a `SimilarityOutput`, so that its attention needs no hooks."""
