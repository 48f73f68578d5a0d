"""Readers that point twice: at a start, then at the end given that start."""

from dataclasses import dataclass

from torch import FloatTensor, LongTensor

from pipeline.models.similarity import SimilarityOutput


@dataclass
class TwoStepOutput(SimilarityOutput):
    """Span logits of p1(start), and of p2(end | start) for one start: the one given, or the reader's best.

    `best_starts` are the reader's own best starts, batch x starts, tokens of the input, the best first and -1
    where a row has fewer; `best_end_logits` are the end logits given each of them, batch x starts x length.
    """

    best_starts: LongTensor | None = None
    best_end_logits: FloatTensor | None = None


class TwoStepReader:
    """Marks a model whose output is a `TwoStepOutput`.

    Its `forward` takes `start_positions`, at which the end is forced where they are not negative, and
    `num_starts`, how many of its own starts it is to give the ends of. Its configuration says `two_step`.
    """
