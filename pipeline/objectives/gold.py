"""The gold term: cross-entropy of start and end against the labels."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from pipeline.losses.cross_entropy import cross_entropy
from pipeline.models.reading import SpanOutputs
from pipeline.objectives.reduction import REDUCTIONS
from pipeline.objectives.term import Batch, labelled_rows


@dataclass(frozen=True)
class Gold:
    """L_CE of Hu et al. 2018, sec. 3.1, where `reduction` is "sum"; half of it where it is "mean"."""

    name: str
    weight: float
    reduction: str
    attention_layer = None

    @property
    def scale(self) -> float:
        """The weight."""
        return self.weight

    def counted(self, batch: Batch) -> Int[Tensor, ""]:
        """Rows with a gold span."""
        return labelled_rows(batch).sum()

    def __call__(self, outputs: SpanOutputs, batch: Batch) -> Float[Tensor, ""]:
        """The loss summed over counted rows, without scale."""
        mask, rows = outputs.passage_mask, labelled_rows(batch)
        start, end = batch["gold"].unbind(dim=1)
        start_sum, _ = cross_entropy(outputs.start_logits, start, mask=mask, counted=rows)
        end_sum, _ = cross_entropy(outputs.end_logits, end, mask=mask, counted=rows)
        return REDUCTIONS[self.reduction] * (start_sum + end_sum)
