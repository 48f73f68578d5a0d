"""What two-step teachers say of the end given the gold start, in the place of what they say by themselves.

Source: Hu et al. 2018, Attention-Guided Answer Distillation, sec. 3.1: q2(l|k).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from pipeline.objectives.term import Batch, labelled_rows


def ends_given_start(targets: Mapping[str, Any], aliases: Sequence[str]) -> dict[str, Any]:
    """`targets` in which the end logits of these teachers are those given the gold start."""
    return {
        **targets,
        **{alias: {**targets[alias], "end_logits": _row(targets[alias])} for alias in aliases},
    }


def rows_with_start(batch: Batch, aliases: Sequence[str]) -> Bool[Tensor, " batch"]:
    """The rows in which the student and all of these teachers see a gold start."""
    seen = [batch["targets"][alias]["gold_length"] > 0 for alias in aliases]
    return torch.stack([labelled_rows(batch), *seen]).all(0)


def _row(targets: Mapping[str, Any]) -> Tensor:
    rows: Tensor = targets["gold_end_logits"]
    # A batch without any gold start has no row at all.
    return rows[:, 0] if rows.shape[1] else rows.new_zeros(len(rows), rows.shape[2])
