"""Passage x question attention of teachers on a student's tokens, through the characters both cover."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pipeline.losses.precision import widen


class AlignedAttention(NamedTuple):
    """Attention along the student's question, and the passage tokens that the teacher says something of.

    A row sums to 1 less what lay on question tokens that the student does not read.
    """

    attention: Float[Tensor, "batch passage question"]
    known: Bool[Tensor, "batch passage"]


@torch.no_grad()
def align_attention(
    attention: Float[Tensor, "batch teacher_passage teacher_question"],
    *,
    teacher_passage: Int[Tensor, "batch teacher_passage 2"],
    teacher_question: Int[Tensor, "batch teacher_question 2"],
    student_passage: Int[Tensor, "batch passage 2"],
    student_question: Int[Tensor, "batch question 2"],
) -> AlignedAttention:
    """Split question tokens by shared characters, average passage tokens over those overlapped.

    All offsets are characters, start and exclusive end, in the same passage and question; padding is 0, 0
    and overlaps nothing.
    """
    wide = widen(attention)
    shared = shared_characters(teacher_question, student_question).to(wide.dtype)
    split = shared / shared.sum(dim=2, keepdim=True).clamp(min=1)
    overlaps = _overlap(student_passage, teacher_passage).to(wide.dtype)
    counts = overlaps.sum(dim=2, keepdim=True)
    # Mixed precision would round these products to 8 or 11 bits.
    with torch.autocast(wide.device.type, enabled=False):
        aligned = (overlaps / counts.clamp(min=1)) @ (wide @ split)
    return AlignedAttention(aligned, counts.squeeze(2) > 0)


@torch.no_grad()
def mean_attention(members: Sequence[AlignedAttention], weights: Sequence[float]) -> AlignedAttention:
    """The mean of what several teachers attend to; of a passage token, over those that say something of it.

    Source: Hu et al. 2018, Attention-Guided Answer Distillation, sec. 3.4: the arithmetic
    mean of their distributions.
    """
    shares = torch.stack([weight * said.known for said, weight in zip(members, weights, strict=True)])
    total = shares.sum(dim=0)
    # (members, batch, passage, 1)
    parts = (shares / total.where(total > 0, 1.0)).unsqueeze(-1)
    attention = torch.stack([said.attention for said in members])
    return AlignedAttention((parts * attention).sum(dim=0), total > 0)


def shared_characters(
    left: Int[Tensor, "batch left 2"], right: Int[Tensor, "batch right 2"]
) -> Int[Tensor, "batch left right"]:
    """How many characters each token of one side has in common with each of the other."""
    starts = torch.maximum(left[:, :, None, 0], right[:, None, :, 0])
    ends = torch.minimum(left[:, :, None, 1], right[:, None, :, 1])
    return (ends - starts).clamp(min=0)


def _overlap(
    left: Int[Tensor, "batch left 2"], right: Int[Tensor, "batch right 2"]
) -> Bool[Tensor, "batch left right"]:
    # As `shared_characters` > 0, in bytes: the passage against itself is large.
    return (left[:, :, None, 0] < right[:, None, :, 1]) & (right[:, None, :, 0] < left[:, :, None, 1])
