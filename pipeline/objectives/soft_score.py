"""The soft-score term: a head's relevance against a teacher's."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pipeline.cache.mix import MEAN_LOGITS, Mix
from pipeline.losses.soft_score_mse import relevance, soft_score_mse
from pipeline.models.reading import Outputs
from pipeline.objectives.alignment import mean_logits
from pipeline.objectives.term import Batch, Reads, real_rows


@dataclass(frozen=True)
class SoftScore:
    """One teacher's summand of the soft loss of Yang et al. 2019, arXiv:1904.09636, eq. 4.

    Args:
        name: What the term is called in logs.
        source: The alias of the teacher, or of the mix.
        weight: The weight of params.
        mix: How the teachers of a mix are averaged.
    """

    name: str
    source: str
    weight: float
    mix: Mix | None = None
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
        total, _ = soft_score_mse(part.logits, self._teacher(batch), counted=real_rows(batch))
        return total

    def _teacher(self, batch: Batch) -> Float[Tensor, "batch classes"]:
        if self.mix is None:
            logits: Tensor = batch["targets"][self.source]["class_logits"]
            return logits
        said = [batch["targets"][alias]["class_logits"] for alias in self.mix.aliases(self.source)]
        if self.mix.mean == MEAN_LOGITS:
            return mean_logits(said, self.mix.weights)
        scores = zip(map(relevance, said), self.mix.weights, strict=True)
        # The one logit whose sigmoid is the mean of the scores.
        return (
            torch.stack([weight * score for score, weight in scores])
            .sum(0)
            .clamp(max=1)
            .logit()
            .unsqueeze(-1)
        )
