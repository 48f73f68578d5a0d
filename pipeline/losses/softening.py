"""Log-probabilities of logits at a temperature, finite everywhere."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pipeline.losses.precision import widen

# Finite, so that a probability of 0 times it is 0 and no gradient becomes not-a-number.
NO_MASS = -1e30

# One for all rows, or one a row.
Temperature = float | Float[Tensor, "*rows"]


def divided(logits: Float[Tensor, "*rows classes"], temperature: Temperature) -> Tensor:
    """Logits over the temperature, in float32, or float64 where they are that already."""
    divisor = temperature.unsqueeze(-1) if isinstance(temperature, Tensor) else temperature
    return widen(logits) / divisor


def soften(
    logits: Float[Tensor, "*rows classes"],
    mask: Bool[Tensor, "*rows classes"],
    *,
    temperature: Temperature = 1.0,
) -> Float[Tensor, "*rows classes"]:
    """Log-softmax of logits / temperature over the masked-in classes, about `NO_MASS` at the others."""
    return divided(logits, temperature).masked_fill(~mask, NO_MASS).log_softmax(dim=-1)


def soft_targets(
    logits: Float[Tensor, "*rows classes"],
    mask: Bool[Tensor, "*rows classes"],
    *,
    temperature: Temperature,
) -> tuple[Float[Tensor, "*rows classes"], Float[Tensor, "*rows classes"]]:
    """A teacher's probabilities and their logarithms.

    A logit of minus infinity is a class without mass; a row of nothing else has probability 0 throughout.
    """
    has_mass = mask & ~logits.isneginf()
    log_probs = soften(logits, has_mass, temperature=temperature)
    return log_probs.exp() * has_mass, log_probs


def counted_rows(
    mask: Bool[Tensor, "*rows classes"], counted: Bool[Tensor, "*rows"] | None
) -> Bool[Tensor, "*rows"]:
    """The rows that count: those wanted that have a class at all."""
    occupied = mask.any(dim=-1)
    return occupied if counted is None else occupied & counted


def summed(
    losses: Float[Tensor, "*rows"], rows: Bool[Tensor, "*rows"], mass: Float[Tensor, "*rows"] | None
) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
    """The sum of the losses of rows that count, each scaled by its mass, and how many these are."""
    scaled = losses if mass is None else losses * mass
    return torch.where(rows, scaled, 0.0).sum(), rows.sum()
