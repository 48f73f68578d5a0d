"""What readers of `question [SEP] passage` share: where the two lie, and span logits over the input."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pipeline.models.masking import OFF_PASSAGE
from pipeline.models.positions import Positions


def question_and_passage(
    types: Int[Tensor, "batch length"], is_used: Bool[Tensor, "batch length"]
) -> tuple[Positions, Positions]:
    """Where question (without its separator) and passage lie."""
    in_question, in_passage = is_used & (types == 0), is_used & (types == 1)
    question_end = (in_question.sum(1) - 1).clamp(min=0)
    question = torch.stack([torch.zeros_like(question_end), question_end], 1)
    passage_start = in_passage.int().argmax(1)
    passage = torch.stack([passage_start, passage_start + in_passage.sum(1)], 1)
    return Positions.of(question, types.device), Positions.of(passage, types.device)


def never_empty(mask: Bool[Tensor, "batch length"]) -> Bool[Tensor, "batch length"]:
    """`mask` with the first position of an empty row: attention over nothing is not a number."""
    first = torch.zeros_like(mask)
    first[:, 0] = True
    return mask | first


def scattered(
    logits: Float[Tensor, "batch passage"], at: Positions, length: int
) -> Float[Tensor, "batch {length}"]:
    """Logits at their places of an input of so many tokens; padding goes to one column more, cut off."""
    places = at.index.masked_fill(~at.mask, length)
    full = torch.full((len(logits), length + 1), OFF_PASSAGE, device=logits.device)
    return full.scatter(1, places, logits.float())[:, :length]


def span_loss(
    start_logits: Float[Tensor, "batch length"],
    end_logits: Float[Tensor, "batch length"],
    start_positions: Int[Tensor, " batch"],
    end_positions: Int[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """The mean of the cross-entropies of starts and of ends, each over the rows that have one."""
    return (_boundary_loss(start_logits, start_positions) + _boundary_loss(end_logits, end_positions)) / 2


def _boundary_loss(
    logits: Float[Tensor, "batch length"], positions: Int[Tensor, " batch"]
) -> Float[Tensor, ""]:
    """Cross-entropy of starts or ends, the mean over rows that have one inside the input."""
    length = logits.shape[1]
    is_answer = (positions >= 0) & (positions < length)
    # A sum divided by hand: a batch without answers gives 0, not 0 / 0.
    total = F.cross_entropy(logits, positions.masked_fill(~is_answer, -1), ignore_index=-1, reduction="sum")
    return total / is_answer.sum().clamp(min=1)
