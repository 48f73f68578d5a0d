"""Cross-entropy against gold labels."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pipeline.losses.softening import counted_rows, soften


def cross_entropy(
    student_logits: Float[Tensor, "*rows classes"],
    gold: Int[Tensor, "*rows"],
    *,
    mask: Bool[Tensor, "*rows classes"],
    counted: Bool[Tensor, "*rows"] | None = None,
) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
    """-log p(gold) in nats.

    Args:
        student_logits: Raw logits.
        gold: The right class; negative where there is none, and the row does not count.
        mask: True at a class that exists.
        counted: True at a row that counts; None counts all that have a label.

    Returns:
        The sum over counted rows, and their number.
    """
    rows = counted_rows(mask, counted) & (gold >= 0)
    log_probs = soften(student_logits, mask)
    losses = -log_probs.gather(-1, gold.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return torch.where(rows, losses, 0.0).sum(), rows.sum()
