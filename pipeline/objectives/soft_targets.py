"""Soft-target terms: a student's logits against a teacher's, part by part."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from pipeline.cache.mix import Mix
from pipeline.losses.kd_bce import kd_bce
from pipeline.losses.kd_ce import kd_ce
from pipeline.losses.kd_kl import kd_kl
from pipeline.losses.kd_mse import kd_mse
from pipeline.models.reading import Outputs, Part
from pipeline.objectives.declarations import KIND
from pipeline.objectives.end_rows import ends_given_start, rows_with_start
from pipeline.objectives.members import aligned_logits
from pipeline.objectives.term import Batch, Reads, parts_of, real_places, reduced
from pipeline.schedules import TEMPERATURE_SCHEDULES


@dataclass(frozen=True)
class SoftTargets:
    """A student follows the logits of one teacher, or the mean of several.

    Args:
        loss: A loss with the signature of `kd_kl`.
        name: What the term is called in logs.
        source: The alias of the teacher, or of the mix.
        weight: The weight of params.
        temperature: T, softens both sides; the teacher's before it is aligned.
        temperature_schedule: What moves each row's temperature about T, its name as `kind` and its options;
            None for nothing.
        probability_shift: Whether a teacher that errs is put right, in its own tokens, before it is softened.
        scale_by_temperature_squared: Multiply by T^2, as Hinton et al. 2015 and Hu et al. 2018 do and
            TextBrewer does not. Where temperatures are moved it is the square of T: they weigh rows against
            each other, which their own squares would undo.
        reduction: "mean" or "sum" over the task's parts, such as start and end.
        end_rows: Whether the end's targets are those that a two-step teacher gives for the gold start, as Hu
            et al. 2018, sec. 3.1, have it. Rows where teacher or student sees no gold start have none.
        null_answer: Whether start and end may be at the first token, one place more, which stands for no
            answer; the teacher's mass there goes to the student's and is never shared out over the passage.
        mix: How the teachers of a mix are averaged.
    """

    loss: Callable[..., tuple[Tensor, Tensor]]
    name: str
    source: str
    weight: float
    temperature: float
    temperature_schedule: Mapping[str, Any] | None
    probability_shift: bool
    scale_by_temperature_squared: bool
    reduction: str
    end_rows: bool = False
    null_answer: bool = False
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
        parts = parts_of(outputs, null_answer=self.null_answer)
        totals = [self._part(part, place, batch) for place, part in enumerate(parts)]
        return reduced(totals, self.reduction)

    def _part(self, part: Part, place: int, batch: Batch) -> Float[Tensor, ""]:
        targets = batch["targets"]
        aliases = self.mix.aliases(self.source) if self.mix else (self.source,)
        # Gold answers stand beside a teacher in its own tokens, where these are not the student's.
        right = {alias: targets[alias].get("gold", batch["gold"])[:, place].flatten() for alias in aliases}
        if self.end_rows:
            targets = ends_given_start(targets, aliases)
        aligned_at = partial(
            aligned_logits,
            targets,
            self.source,
            self.mix,
            part=part.name,
            classes=part.logits.shape[-1],
            has_null=self.null_answer,
            right=right if self.probability_shift else {},
        )
        # A tagger's words are so many rows.
        logits, mask = part.logits.flatten(0, -2), part.mask.flatten(0, -2)
        counted, temperature = real_places(batch).flatten(), self.temperature
        aligned = aligned_at(temperature=temperature)
        if self.temperature_schedule is not None:
            options = {
                name: float(value) for name, value in self.temperature_schedule.items() if name != KIND
            }
            schedule = TEMPERATURE_SCHEDULES.load(self.temperature_schedule[KIND])
            temperature = schedule(
                logits,
                aligned.logits,
                mask=mask,
                counted=counted,
                temperature=self.temperature,
                **options,
            )
            aligned = aligned_at(temperature=temperature)
        mass = aligned.kept
        if self.end_rows and part.name == "end":
            mass = mass * rows_with_start(batch, aliases)
        total, _ = self.loss(
            logits,
            aligned.logits,
            mask=mask,
            counted=counted,
            temperature=temperature,
            mass=mass,
        )
        return total


KD_BCE = partial(SoftTargets, kd_bce)
KD_CE = partial(SoftTargets, kd_ce)
KD_KL = partial(SoftTargets, kd_kl)
KD_MSE = partial(SoftTargets, kd_mse)


def around(loss: Callable[..., tuple[Tensor, Tensor]]) -> Callable[..., SoftTargets]:
    """What makes the term of a function with the signature of `kd_kl`; further options are bound to it."""

    def build(**options: Any) -> SoftTargets:
        own = {name: options.pop(name) for name in [*options] if name not in _FIELDS}
        return SoftTargets(partial(loss, **own), **options)

    return build


_FIELDS = {field.name for field in fields(SoftTargets)}
