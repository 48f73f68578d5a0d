"""Distance between two readers' attention across the question."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pipeline.losses.precision import widen
from pipeline.losses.softening import counted_rows


def qa_attention_mse(
    student_attention: Float[Tensor, "*rows passage question"],
    teacher_attention: Float[Tensor, "*rows passage question"],
    *,
    mask: Bool[Tensor, "*rows passage question"],
    counted: Bool[Tensor, "*rows"] | None = None,
) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
    """L_ATT: half the sum over passage words of the squared distance between two attention distributions.

    Source: Hu et al. 2018, Attention-Guided Answer Distillation, sec. 3.3. Their D_j, E_j: teacher's and
    student's distribution across the question for passage word j. A sum over passage words, no mean.

    Args:
        student_attention: Probabilities, along the question.
        teacher_attention: The same of the teacher, on the student's tokens.
        mask: True where a passage word and a question word exist and the teacher says something.
        counted: True at a row that counts; None counts all that have a masked-in pair.

    Returns:
        The sum over counted rows, and their number.
    """
    rows = counted_rows(mask.flatten(-2), counted)
    distance = (widen(student_attention) - widen(teacher_attention)).masked_fill(~mask, 0.0)
    losses = 0.5 * distance.square().flatten(-2).sum(dim=-1)
    return torch.where(rows, losses, 0.0).sum(), rows.sum()
