"""Squared distance to gold numbers."""

from jaxtyping import Bool, Float, Int
from torch import Tensor

from pipeline.losses.precision import widen
from pipeline.losses.softening import counted_rows


def squared_error(
    student_logits: Float[Tensor, "*rows 1"],
    gold: Float[Tensor, "*rows"],
    *,
    mask: Bool[Tensor, "*rows 1"],
    counted: Bool[Tensor, "*rows"] | None = None,
) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
    """(s - y)^2, with s the student's only output and y the gold number.

    Args:
        student_logits: The student's outputs.
        gold: The right numbers; not-a-number where there is none, and the row does not count.
        mask: True at an output that exists.
        counted: True at a row that counts; None counts all that have a number.

    Returns:
        The sum over counted rows, and their number.
    """
    rows = counted_rows(mask, counted) & ~gold.isnan()
    # Zero where nothing counts: whatever stands there reaches neither value nor gradient.
    student = widen(student_logits).squeeze(-1).masked_fill(~rows, 0.0)
    return (student - widen(gold).masked_fill(~rows, 0.0)).square().sum(), rows.sum()
