"""A teacher's span logits on a student's tokens."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pipeline.losses.softening import NO_MASS, widen


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
    temperature: float,
) -> Aligned:
    """T log q_S(j), with q_S(j) the sum of softmax(z / T) over the teacher tokens mapped to j.

    Softening comes first, so the projection is exact in mass at every temperature.

    Args:
        teacher_logits: Raw logits z, one a teacher token.
        token_map: The student token that each teacher token's mass goes to; negative where it is lost.
        length: How many teacher tokens each row has.
        positions: How many student tokens.
        temperature: T.
    """
    softened = widen(teacher_logits) / temperature
    exists = torch.arange(softened.shape[1], device=softened.device) < length.unsqueeze(1)
    softened = softened.masked_fill(~exists, NO_MASS)
    lands = exists & (token_map >= 0)
    # Lost and absent tokens fall into a bin after the last student token, which is cut off again.
    bins = torch.where(lands, token_map, positions).long()
    peaks = softened.new_full((len(bins), positions + 1), NO_MASS).scatter_reduce(1, bins, softened, "amax")
    shares = (softened - peaks.gather(1, bins)).exp() * lands
    sums = torch.zeros_like(peaks).scatter_add(1, bins, shares)
    # log 0 is minus infinity: no mass.
    log_mass = (peaks + sums.log())[:, :positions]
    total = softened.logsumexp(dim=1)
    return Aligned(temperature * log_mass, (log_mass.logsumexp(dim=1) - total).exp())
