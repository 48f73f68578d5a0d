"""The gold term: a task's own loss against its labels."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from pipeline.models.reading import Outputs
from pipeline.objectives.term import Batch, Reads, labelled_rows, reduced


@dataclass(frozen=True)
class Gold:
    """Of spans: L_CE of Hu et al. 2018, sec. 3.1, where `reduction` is "sum"; half of it where it is "mean".

    Args:
        name: What the term is called in logs.
        weight: The weight of params.
        loss: The loss of the task's labels.
        reduction: "mean" or "sum" over the task's parts.
    """

    name: str
    weight: float
    loss: Callable[..., tuple[Tensor, Tensor]]
    reduction: str
    reads = Reads()

    @property
    def scale(self) -> float:
        """The weight."""
        return self.weight

    def counted(self, batch: Batch) -> Int[Tensor, ""]:
        """Rows with a gold label."""
        return labelled_rows(batch).sum()

    def __call__(self, outputs: Outputs, batch: Batch) -> Float[Tensor, ""]:
        """The loss summed over counted rows, without scale."""
        rows = labelled_rows(batch)
        totals = [
            self.loss(part.logits, gold, mask=part.mask, counted=rows)[0]
            for part, gold in zip(outputs.parts, batch["gold"].unbind(dim=1), strict=True)
        ]
        return reduced(totals, self.reduction)
