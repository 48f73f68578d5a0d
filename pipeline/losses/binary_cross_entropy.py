"""Binary cross-entropy against gold labels, where classes do not exclude each other."""

from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from pipeline.losses.precision import widen
from pipeline.losses.softening import counted_rows


def binary_cross_entropy(
    student_logits: Float[Tensor, "*rows classes"],
    gold: Float[Tensor, "*rows classes"],
    *,
    mask: Bool[Tensor, "*rows classes"],
    counted: Bool[Tensor, "*rows"] | None = None,
) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
    """Mean over a row's classes of -log p(right), p the sigmoid of the logit, in nats.

    Args:
        student_logits: Raw logits.
        gold: 1 at a class that a row has, else 0; not-a-number where the row has no label, and it does not
            count.
        mask: True at a class that exists.
        counted: True at a row that counts; None counts all that have labels.

    Returns:
        The sum over counted rows, and their number.
    """
    rows = counted_rows(mask, counted) & ~(gold.isnan() & mask).any(dim=-1)
    kept = mask & rows.unsqueeze(-1)
    student, right = (widen(values).masked_fill(~kept, 0.0) for values in (student_logits, gold))
    losses = binary_cross_entropy_with_logits(student, right, reduction="none") * kept
    return (losses.sum(dim=-1) / mask.sum(dim=-1).clamp(min=1)).sum(), rows.sum()
