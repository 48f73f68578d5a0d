"""What was picked up of a student's layers while it read a batch, as matches compare it."""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor, nn

from pipeline.losses.precision import widen
from pipeline.models.observing import Observed
from pipeline.objectives.teacher_layers import attention_scores


@dataclass(frozen=True)
class StudentLayers:
    """The student's side of a match.

    Args:
        observed: What was picked up.
        layers: The layer or the pair that is compared.
        projected: What brings hidden states to the teacher's width; None leaves them as they are.
    """

    observed: Observed
    layers: tuple[int, ...]
    projected: nn.Module | None

    def hidden(self) -> Float[Tensor, "batch length width"]:
        """Hidden states of the first layer."""
        return self._hidden(self.layers[0])

    def other(self) -> Float[Tensor, "batch length width"] | None:
        """Those of the second layer; None where it is the first."""
        return None if self.layers[1] == self.layers[0] else self._hidden(self.layers[1])

    def sentence(self, pooling: str, mask: Bool[Tensor, "batch length"]) -> Float[Tensor, "batch width"]:
        """One vector a row: the first token's state, the mean over all, or the pooler's output."""
        if pooling == "pooler":
            if self.observed.pooled is None:
                raise RuntimeError("the model has not run inside observe")
            return self._projected(self.observed.pooled)
        states = self.hidden()
        if pooling == "first":
            return states[:, 0]
        total = widen(states).masked_fill(~mask.unsqueeze(-1), 0.0).sum(dim=1)
        return total / mask.sum(dim=1, keepdim=True).clamp(min=1)

    def scores(self) -> Float[Tensor, "batch heads length length"]:
        """Attention scores of every head."""
        query, key = self.observed.projections(self.layers[0])
        return attention_scores(query, key, self.observed.attention[self.layers[0]].num_heads)

    def _hidden(self, layer: int) -> Float[Tensor, "batch length width"]:
        return self._projected(self.observed.hidden[layer])

    def _projected(self, states: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch teacher_width"]:
        return states if self.projected is None else self.projected(states)
