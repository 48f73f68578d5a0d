"""Soft-target terms: a student's logits against a teacher's, part by part."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from pipeline.cache.mix import Mix
from pipeline.losses.kd_ce import kd_ce
from pipeline.losses.kd_kl import kd_kl
from pipeline.models.reading import Outputs, Part
from pipeline.objectives.members import aligned_logits
from pipeline.objectives.reduction import reduced
from pipeline.objectives.term import Batch, Reads, real_places


@dataclass(frozen=True)
class SoftTargets:
    """A student follows the logits of one teacher, or the mean of several.

    Args:
        loss: `kd_ce` or `kd_kl`.
        name: What the term is called in logs.
        source: The alias of the teacher, or of the mix.
        weight: The weight of params.
        temperature: Softens both sides; the teacher's before it is aligned.
        scale_by_temperature_squared: Multiply by T^2, as Hinton et al. 2015 and Hu et al. 2018 do and
            TextBrewer does not.
        reduction: "mean" or "sum" over the task's parts, such as start and end.
        mix: How the teachers of a mix are averaged.
    """

    loss: Callable[..., tuple[Tensor, Tensor]]
    name: str
    source: str
    weight: float
    temperature: float
    scale_by_temperature_squared: bool
    reduction: str
    mix: Mix | None = None
    reads = Reads()

    @property
    def scale(self) -> float:
        """The weight and, where asked for, T^2: the only place where it is applied."""
        return self.weight * (self.temperature**2 if self.scale_by_temperature_squared else 1.0)

    def counted(self, batch: Batch) -> Int[Tensor, ""]:
        """Every real row, or word: soft targets need no label."""
        return real_places(batch).sum()

    def __call__(self, outputs: Outputs, batch: Batch) -> Float[Tensor, ""]:
        """The loss summed over counted rows, without scale."""
        return reduced([self._part(part, batch) for part in outputs.parts], self.reduction)

    def _part(self, part: Part, batch: Batch) -> Float[Tensor, ""]:
        aligned = aligned_logits(
            batch["targets"],
            self.source,
            self.mix,
            part=part.name,
            classes=part.logits.shape[-1],
            temperature=self.temperature,
        )
        # A tagger's words are so many rows.
        total, _ = self.loss(
            part.logits.flatten(0, -2),
            aligned.logits,
            mask=part.mask.flatten(0, -2),
            counted=real_places(batch).flatten(),
            temperature=self.temperature,
            mass=aligned.kept,
        )
        return total


KD_CE = partial(SoftTargets, kd_ce)
KD_KL = partial(SoftTargets, kd_kl)


def around(loss: Callable[..., tuple[Tensor, Tensor]]) -> Callable[..., SoftTargets]:
    """What makes the term of a function with the signature of `kd_kl`; further options are bound to it."""

    def build(**options: Any) -> SoftTargets:
        own = {name: options.pop(name) for name in [*options] if name not in _FIELDS}
        return SoftTargets(partial(loss, **own), **options)

    return build


_FIELDS = {field.name for field in fields(SoftTargets)}
