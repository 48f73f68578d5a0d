"""Span extraction on the device: the best spans of start and end logits, and a teacher's target columns."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pipeline.models.reading import SpanOutputs
from pipeline.tasks.answers import NO_SPAN, NULL_SPAN, covering_span, gold_span, span_characters, span_text

__all__ = [
    "MAX_ANSWER_TOKENS",
    "NO_SPAN",
    "NULL_SPAN",
    "NUM_STARTS",
    "Spans",
    "best_spans",
    "best_two_step_spans",
    "covering_span",
    "find_spans",
    "gold_span",
    "span_characters",
    "span_text",
    "target_columns",
    "with_null",
]

MAX_ANSWER_TOKENS = 30
"""Ren 2020's limit; Hu 2018 gives none."""

NUM_STARTS = 8
"""How many starts a two-step reader is decoded from, at least."""


class Spans(NamedTuple):
    """Spans of each row, best first; where a row has fewer, -1, -1 and minus infinity fill the rest."""

    starts: Int[Tensor, "batch k"]
    ends: Int[Tensor, "batch k"]
    log_probs: Float[Tensor, "batch k"]


def best_spans(
    start_logits: Float[Tensor, "batch positions"],
    end_logits: Float[Tensor, "batch positions"],
    mask: Bool[Tensor, "batch positions"],
    *,
    max_answer_tokens: int = MAX_ANSWER_TOKENS,
    k: int = 1,
) -> Spans:
    """The `k` spans with the highest log p1(start) + log p2(end), in one banded pass over starts and lengths.

    Probabilities are normalised over the masked-in positions, so that models compare.

    Args:
        start_logits: A logit for each passage token to be the first.
        end_logits: A logit for each passage token to be the last (inclusive).
        mask: True where there is a passage token.
        max_answer_tokens: The longest span allowed.
        k: How many spans.
    """
    width = min(max_answer_tokens, start_logits.shape[1])
    start = _log_probs(start_logits, mask)
    end = torch.nn.functional.pad(_log_probs(end_logits, mask), (0, width - 1), value=-torch.inf)
    # (batch, positions, width): entry (i, w) is the span from i to i + w.
    scores = start.unsqueeze(2) + end.unfold(1, width, 1)
    found = min(k, scores.shape[1] * width)
    log_probs, flat = scores.flatten(1).topk(found, dim=1)
    starts = flat.div(width, rounding_mode="floor")
    ends = starts + flat.remainder(width)
    return _filled(starts, ends, log_probs, k)


def _filled(
    starts: Int[Tensor, "batch found"],
    ends: Int[Tensor, "batch found"],
    log_probs: Float[Tensor, "batch found"],
    k: int,
) -> Spans:
    absent = log_probs.isneginf()
    missing = (0, k - starts.shape[1])
    return Spans(
        torch.nn.functional.pad(starts.masked_fill(absent, -1), missing, value=-1),
        torch.nn.functional.pad(ends.masked_fill(absent, -1), missing, value=-1),
        torch.nn.functional.pad(log_probs, missing, value=-torch.inf),
    )


def best_two_step_spans(
    start_logits: Float[Tensor, "batch positions"],
    best_starts: Int[Tensor, "batch beam"],
    end_logits: Float[Tensor, "batch beam positions"],
    mask: Bool[Tensor, "batch positions"],
    *,
    max_answer_tokens: int = MAX_ANSWER_TOKENS,
    k: int = 1,
) -> Spans:
    """The `k` spans with the highest log p1(start) + log p2(end | start), over some starts.

    Source: Hu et al. 2018, Attention-Guided Answer Distillation, sec. 2.1.

    Args:
        start_logits: A logit for each passage token to be the first.
        best_starts: The starts that count, -1 where a row has fewer.
        end_logits: Given each of them, a logit for each passage token to be the last (inclusive).
        mask: True where there is a passage token.
        max_answer_tokens: The longest span allowed.
        k: How many spans.
    """
    start = _log_probs(start_logits, mask).gather(1, best_starts.clamp(min=0))
    beam, positions = end_logits.shape[1:]
    end = _log_probs(end_logits.flatten(0, 1), mask.repeat_interleave(beam, 0)).view_as(end_logits)
    length = torch.arange(positions, device=mask.device) - best_starts[:, :, None] + 1
    allowed = (best_starts >= 0)[:, :, None] & (length > 0) & (length <= max_answer_tokens)
    scores = (start[:, :, None] + end).masked_fill(~allowed, -torch.inf)
    found = min(k, beam * positions)
    log_probs, flat = scores.flatten(1).topk(found, dim=1)
    starts = best_starts.gather(1, flat.div(positions, rounding_mode="floor"))
    return _filled(starts, flat.remainder(positions), log_probs, k)


def find_spans(
    outputs: SpanOutputs, *, max_answer_tokens: int = MAX_ANSWER_TOKENS, k: int = 1, beam: int | None = None
) -> Spans:
    """The `k` best spans of what a reader says, in one step or in two.

    Args:
        outputs: What it says; of a two-step reader with its own best starts.
        max_answer_tokens: The longest span allowed.
        k: How many spans.
        beam: How many of a two-step reader's starts count; all if None.
    """
    if outputs.best_starts is None or outputs.best_end_logits is None:
        return best_spans(
            outputs.start_logits,
            outputs.end_logits,
            outputs.passage_mask,
            max_answer_tokens=max_answer_tokens,
            k=k,
        )
    return best_two_step_spans(
        outputs.start_logits,
        outputs.best_starts[:, :beam],
        outputs.best_end_logits[:, :beam],
        outputs.passage_mask,
        max_answer_tokens=max_answer_tokens,
        k=k,
    )


def target_columns(
    start_logits: Float[Tensor, "batch positions"],
    end_logits: Float[Tensor, "batch positions"],
    mask: Bool[Tensor, "batch positions"],
    *,
    top_k: int | None = None,
) -> dict[str, Tensor]:
    """What a cache holds of a span reader: its logits and, where `top_k` is given, its best spans.

    Logit columns have one entry a position, span columns one a span; the caller cuts both to each row
    (positions by `mask`, spans where `top_starts` is not -1).
    """
    columns: dict[str, Tensor] = {"start_logits": start_logits, "end_logits": end_logits}
    if top_k is not None:
        spans = best_spans(start_logits, end_logits, mask, k=top_k)
        columns |= {"top_starts": spans.starts, "top_ends": spans.ends, "top_log_probs": spans.log_probs}
    return columns


def with_null(places: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
    """Passage tokens counted with the null place, number 0, before them; -1 where nothing is known."""
    return torch.where(places == NULL_SPAN[0], 0, torch.where(places >= 0, places + 1, -1))


def _log_probs(
    logits: Float[Tensor, "batch positions"], mask: Bool[Tensor, "batch positions"]
) -> Float[Tensor, "batch positions"]:
    lowest = torch.finfo(torch.float32).min
    # A finite fill first: a row without positions must not turn into not-a-number.
    log_probs = logits.float().masked_fill(~mask, lowest).log_softmax(dim=1)
    return log_probs.masked_fill(~mask, -torch.inf)
