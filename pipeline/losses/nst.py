"""Distance between the similarities of tokens in two models."""

from jaxtyping import Bool, Float, Int
from torch import Tensor

from pipeline.losses.precision import full_precision, widen


def nst(
    student_hidden: Float[Tensor, "batch length width"],
    teacher_gram: Float[Tensor, "batch length length"],
    *,
    mask: Bool[Tensor, "batch length"],
    student_other: Float[Tensor, "batch length width"] | None = None,
) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
    """(G_S - G_Z)^2 of a pair of tokens, with G = X Y^T / width of either side.

    Source: Huang and Wang 2017, Neuron Selectivity Transfer, arXiv:1707.01219, with the polynomial kernel;
    TextBrewer's `mmd_loss`. Widths may differ.

    Args:
        student_hidden: Hidden states X.
        teacher_gram: G_Z, on the student's tokens.
        mask: True at a token that counts.
        student_other: Hidden states Y; None takes X.

    Returns:
        The sum over pairs of counted tokens of a row, and the number of pairs.
    """
    absent = ~mask.unsqueeze(-1)
    first = widen(student_hidden).masked_fill(absent, 0.0)
    other = first if student_other is None else widen(student_other).masked_fill(absent, 0.0)
    with full_precision(first):
        gram = first @ other.transpose(1, 2) / first.shape[2]
    both = mask.unsqueeze(1) & mask.unsqueeze(2)
    return (gram - widen(teacher_gram)).masked_fill(~both, 0.0).square().sum(), both.sum()
