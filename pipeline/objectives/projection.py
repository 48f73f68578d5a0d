"""What brings a student's states to its teacher's width; trained beside the student and not published."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from pipeline.losses.precision import full_precision, widen
from pipeline.objectives.declarations import KIND
from pipeline.objectives.projections import PROJECTIONS

_States: TypeAlias = Float[Tensor, "*batch teacher_width"]

_SPREAD = 0.02


class Projection(nn.Module):
    """An affine map from the student's width to the teacher's, and an activation.

    Weights are N(0, 0.02) and biases 0, as in TextBrewer.

    Args:
        activation: What is done to the projected states.
        width: The student's.
        teacher_width: The teacher's.
        learning_rate: Its own; None takes the student's.
        generator: Of the first weights.
    """

    def __init__(
        self,
        activation: Callable[[_States], _States],
        width: int,
        teacher_width: int,
        *,
        learning_rate: float | None,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.learning_rate = learning_rate
        self.weight = nn.Parameter(torch.randn(teacher_width, width, generator=generator) * _SPREAD)
        self.bias = nn.Parameter(torch.zeros(teacher_width))

    def forward(self, states: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch teacher_width"]:
        """The states at the teacher's width, in float32 or float64."""
        wide = widen(states)
        with full_precision(wide):
            projected = linear(wide, self.weight.to(wide.dtype), self.bias.to(wide.dtype))
        return self.activation(projected)


def build_projection(written: Mapping[str, Any], generator: torch.Generator) -> Projection:
    """A projection as params write it: `kind`, `in`, `out` and maybe `learning_rate`."""
    rate = written.get("learning_rate")
    return Projection(
        PROJECTIONS.load(written[KIND]),
        written["in"],
        written["out"],
        learning_rate=None if rate is None else float(rate),
        generator=generator,
    )


def unchanged(states: _States) -> _States:
    """What a linear projection does to its states once they are projected: nothing."""
    return states
