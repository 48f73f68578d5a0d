"""The soft-score term: a head's relevance against a teacher's."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from pipeline.losses.soft_score_mse import soft_score_mse
from pipeline.models.reading import Outputs
from pipeline.objectives.term import Batch, Reads, real_rows


@dataclass(frozen=True)
class SoftScore:
    """One teacher's summand of the soft loss of Yang et al. 2019, arXiv:1904.09636, eq. 4.

    Args:
        name: What the term is called in logs.
        source: The alias of the teacher.
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
        """Every real row: a score needs no label."""
        return real_rows(batch).sum()

    def __call__(self, outputs: Outputs, batch: Batch) -> Float[Tensor, ""]:
        """The loss summed over counted rows, without scale."""
        (part,) = outputs.parts
        teacher = batch["targets"][self.source]["class_logits"]
        total, _ = soft_score_mse(part.logits, teacher, counted=real_rows(batch))
        return total
