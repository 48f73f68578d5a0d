"""The answer-distillation term: gold boundaries should beat the teacher's confusing ones."""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor

from pipeline.losses.answer_margin import answer_margin
from pipeline.models.reading import Outputs
from pipeline.objectives.term import Batch, Reads, labelled_rows


@dataclass(frozen=True)
class AnswerMargin:
    """L_ANS of Hu et al. 2018, sec. 3.2: by definition a sum over start and end.

    Args:
        name: What the term is called in logs.
        source: The alias of the teacher whose confusing answers count, or of the mix.
        weight: The weight of params.
    """

    name: str
    source: str
    weight: float
    reads = Reads()

    @property
    def scale(self) -> float:
        """The weight."""
        return self.weight

    def counted(self, batch: Batch) -> Int[Tensor, ""]:
        """Rows with a gold span and a confusing one."""
        return self._rows(batch).sum()

    def __call__(self, outputs: Outputs, batch: Batch) -> Float[Tensor, ""]:
        """The loss summed over counted rows, without scale."""
        rows = self._rows(batch)
        golds, confusing = (
            batch["gold"].unbind(dim=1),
            batch["targets"][self.source]["confusing"].unbind(dim=1),
        )
        start, end = (
            answer_margin(part.logits, gold, wrong, mask=part.mask, counted=rows)[0]
            for part, gold, wrong in zip(outputs.parts, golds, confusing, strict=True)
        )
        return start + end

    def _rows(self, batch: Batch) -> Bool[Tensor, " batch"]:
        confusing = batch["targets"][self.source]["confusing"]
        rows: Tensor = labelled_rows(batch) & (confusing >= 0).all(dim=1)
        return rows
