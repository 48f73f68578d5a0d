"""Span logits of one teacher, or of several, on a student's tokens."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pipeline.losses.precision import widen
from pipeline.losses.softening import NO_MASS, Temperature, divided


class SpanLogits(NamedTuple):
    """What one teacher says of the start, or the end: arguments of `align_logits`."""

    logits: Float[Tensor, "batch teacher"]
    token_map: Int[Tensor, "batch teacher"]
    length: Int[Tensor, " batch"]


class Aligned(NamedTuple):
    """Logits whose softmax at the temperature is the teacher's distribution over the student's tokens.

    `logits` is minus infinity at a token that receives no mass. `kept` is the share of the teacher's mass
    that found a token: the distribution that the student is taught is `kept` times that softmax, so a row
    whose answer lies beyond what the student reads teaches little rather than the rest at full strength.
    """

    logits: Float[Tensor, "batch positions"]
    kept: Float[Tensor, " batch"]


@torch.no_grad()
def align_logits(
    teacher_logits: Float[Tensor, "batch teacher"],
    token_map: Int[Tensor, "batch teacher"],
    length: Int[Tensor, " batch"],
    *,
    positions: int,
    temperature: Temperature,
) -> Aligned:
    """T log q_S(j), with q_S(j) the sum of softmax(z / T) over the teacher tokens mapped to j.

    Softening comes first, so the projection is exact in mass at every temperature.

    Args:
        teacher_logits: Raw logits z, one a teacher token.
        token_map: The student token that each teacher token's mass goes to; negative where it is lost.
        length: How many teacher tokens each row has.
        positions: How many student tokens.
        temperature: T, one for all rows or one a row.
    """
    said = SpanLogits(teacher_logits, token_map, length)
    log_mass, total = _log_mass(said, positions=positions, temperature=temperature)
    return Aligned(_scaled(log_mass, temperature), (log_mass.logsumexp(dim=1) - total).exp())


@torch.no_grad()
def align_mean(
    members: Sequence[SpanLogits], weights: Sequence[float], *, positions: int, temperature: Temperature
) -> Aligned:
    """The mean of several teachers' distributions over the student's tokens, as logits like `align_logits`'s.

    Each is softened and brought to the student's tokens by its own map first, so teachers need share no
    tokens; the mass that is kept is the mean of what they keep.

    Source: Hu et al. 2018, Attention-Guided Answer Distillation, sec. 3.4: the arithmetic
    mean of their predicted distributions.

    Args:
        members: What each teacher says.
        weights: Of each, summing to 1.
        positions: How many student tokens.
        temperature: T, one for all rows or one a row.
    """
    weighted = []
    for said, weight in zip(members, weights, strict=True):
        log_mass, total = _log_mass(said, positions=positions, temperature=temperature)
        weighted.append(log_mass - total.unsqueeze(1) + math.log(weight))
    log_mean = torch.stack(weighted).logsumexp(dim=0)
    return Aligned(_scaled(log_mean, temperature), log_mean.exp().sum(dim=1))


def mean_logits(
    logits: Sequence[Float[Tensor, "*shape"]], weights: Sequence[float]
) -> Float[Tensor, "*shape"]:
    """The mean of raw logits of teachers that share their tokens, as TextBrewer's MultiTeacherDistiller."""
    return torch.stack([weight * widen(of_one) for of_one, weight in zip(logits, weights, strict=True)]).sum(
        0
    )


def _scaled(log_mass: Float[Tensor, "batch positions"], temperature: Temperature) -> Tensor:
    factor = temperature.unsqueeze(1) if isinstance(temperature, Tensor) else temperature
    return factor * log_mass


def _log_mass(
    said: SpanLogits, *, positions: int, temperature: Temperature
) -> tuple[Float[Tensor, "batch positions"], Float[Tensor, " batch"]]:
    """The logarithm of the softened mass on each student token, and of all mass, lost mass included."""
    softened = divided(said.logits, temperature)
    exists = torch.arange(softened.shape[1], device=softened.device) < said.length.unsqueeze(1)
    softened = softened.masked_fill(~exists, NO_MASS)
    lands = exists & (said.token_map >= 0)
    # Lost and absent tokens fall into a bin after the last student token, which is cut off again.
    bins = torch.where(lands, said.token_map, positions).long()
    peaks = softened.new_full((len(bins), positions + 1), NO_MASS).scatter_reduce(1, bins, softened, "amax")
    shares = (softened - peaks.gather(1, bins)).exp() * lands
    sums = torch.zeros_like(peaks).scatter_add(1, bins, shares)
    # log 0 is minus infinity: no mass. A batch without teacher tokens has no mass at all.
    return (peaks + sums.log())[:, :positions], softened.logsumexp(dim=1).clamp(min=NO_MASS)
