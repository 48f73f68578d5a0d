"""A teacher that errs is put right before it teaches."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@torch.no_grad()
def probability_shift(
    teacher_logits: Float[Tensor, "*rows classes"],
    gold: Int[Tensor, "*rows"],
    *,
    mask: Bool[Tensor, "*rows classes"],
) -> Float[Tensor, "*rows classes"]:
    """Where the largest logit is not the gold class's, the two are swapped.

    Source: Wen et al. 2019, Preparing Lessons, arXiv:1911.07471, sec. 3.2; TextBrewer's
    `probability_shift`.

    Args:
        teacher_logits: Raw logits.
        gold: The right class; negative where there is none, and the row stays as it is.
        mask: True at a class that exists.
    """
    right = gold.clamp(min=0).unsqueeze(-1)
    best = teacher_logits.masked_fill(~mask, -torch.inf).argmax(dim=-1, keepdim=True)
    largest, own = teacher_logits.gather(-1, best), teacher_logits.gather(-1, right)
    swapped = teacher_logits.scatter(-1, best, own).scatter(-1, right, largest)
    is_known = (gold >= 0).unsqueeze(-1) & mask.gather(-1, right)
    return torch.where(is_known, swapped, teacher_logits)
