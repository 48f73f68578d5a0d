"""The gold term: a task's own loss against its labels."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from pipeline.models.reading import Outputs
from pipeline.objectives.term import Batch, Reads, labelled_rows, parts_of, reduced
from pipeline.tasks.span import with_null


@dataclass(frozen=True)
class Gold:
    """Of spans: L_CE of Hu et al. 2018, sec. 3.1, where `reduction` is "sum"; half of it where it is "mean".

    Args:
        name: What the term is called in logs.
        weight: The weight of params.
        loss: The loss of the task's labels.
        reduction: "mean" or "sum" over the task's parts.
        null_answer: Whether a span may be none, which is said at the first token, one place more of start and
            end (Devlin et al. 2018, sec. 4.3). Else such rows are unlabelled.
    """

    name: str
    weight: float
    loss: Callable[..., tuple[Tensor, Tensor]]
    reduction: str
    null_answer: bool = False
    reads = Reads()

    @property
    def scale(self) -> float:
        """The weight."""
        return self.weight

    def counted(self, batch: Batch) -> Int[Tensor, ""]:
        """Rows with a gold label."""
        return labelled_rows(self._seen(batch)).sum()

    def __call__(self, outputs: Outputs, batch: Batch) -> Float[Tensor, ""]:
        """The loss summed over counted rows, without scale."""
        batch = self._seen(batch)
        rows = labelled_rows(batch)
        parts = parts_of(outputs, null_answer=self.null_answer)
        totals = [
            self.loss(part.logits, gold, mask=part.mask, counted=rows)[0]
            for part, gold in zip(parts, batch["gold"].unbind(dim=1), strict=True)
        ]
        return reduced(totals, self.reduction)

    def _seen(self, batch: Batch) -> Batch:
        return {**batch, "gold": with_null(batch["gold"])} if self.null_answer else batch
