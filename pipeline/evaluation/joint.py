"""The probabilities of all spans of a passage: what several readers can be averaged by."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from pipeline.evaluation.reader import Span
from pipeline.tasks.answers import span_characters

Probabilities = Float64[np.ndarray, "rows starts lengths"]
Tables = Float64[np.ndarray, "tables rows starts lengths"]

NULL = "null_logits"


def span_probabilities(batch: Mapping[str, np.ndarray], max_answer_tokens: int) -> Probabilities:
    """The probability of each span, by its first token and how many more it has.

    It is p1(start) p2(end), or p1(start) p2(end | start) for those of a reader's own starts that are there.

    Args:
        batch: Span logits and, of a two-step reader, its best starts with their ends, as a cache holds them.
        max_answer_tokens: The longest answer.
    """
    starts, length = batch["start_logits"].astype(np.float64), batch["passage_length"]
    mask = np.arange(starts.shape[1]) < length[:, None]
    width = max(1, min(max_answer_tokens, starts.shape[1]))
    start = _softmax(starts, mask)
    if "best_starts" not in batch:
        end = _softmax(batch["end_logits"].astype(np.float64), mask)
        spans: Probabilities = start[:, :, None] * _bands(end, width)
        return spans
    joint = np.zeros((*start.shape, width))
    for place in range(batch["best_starts"].shape[1]):
        rows = np.flatnonzero(place < batch["start_length"])
        first = batch["best_starts"][rows, place]
        end = _softmax(batch["best_end_logits"][rows, place].astype(np.float64), mask[rows])
        joint[rows, first] = start[rows, first, None] * _bands(end, width)[np.arange(len(rows)), first]
    return joint


def span_tables(batch: Mapping[str, np.ndarray], max_answer_tokens: int) -> Tables:
    """The probability of each span, as `span_probabilities` has it, as a table of one.

    Of a reader that can say that there is no answer (`null_logits`) two more tables follow: the sum of the
    start and the end logit of each span and, the same at each, that of no answer.
    """
    joint = span_probabilities(batch, max_answer_tokens)
    if NULL not in batch:
        return joint[None]
    start, end, null = (batch[name].astype(np.float64) for name in ("start_logits", "end_logits", NULL))
    logits = start[:, :, None] + _bands(end, joint.shape[2])
    return np.stack([joint, logits, np.broadcast_to(null.sum(1)[:, None, None], joint.shape)])


def mean(said: Sequence[NDArray[np.floating]], shares: Sequence[float]) -> NDArray[np.floating]:
    """What several readers say, averaged; of their first axis as much as all of them have."""
    shared = min(map(len, said))
    averaged: NDArray[np.floating] = np.tensordot(shares, np.stack([own[:shared] for own in said]), 1)
    return averaged


def _bands(end: Float64[np.ndarray, "rows passage"], width: int) -> Probabilities:
    """For each token what is said of ending there and at the next ones, 0 beyond the passage."""
    padded = np.pad(end, ((0, 0), (0, width)))  # by one more than is read, for rows without any passage
    bands: np.ndarray = np.lib.stride_tricks.sliding_window_view(padded, width, axis=1)
    return bands[:, : end.shape[1]]


def _softmax(
    logits: Float64[np.ndarray, "rows passage"], mask: np.ndarray
) -> Float64[np.ndarray, "rows passage"]:
    kept = np.where(mask, logits, -np.inf)
    peaks = kept.max(axis=1, keepdims=True, initial=np.finfo(np.float64).min)
    exps = np.exp(kept - peaks)
    shares: np.ndarray = exps / np.maximum(exps.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return shares


def best_spans(
    tables: Sequence[NDArray[np.floating]], passage_offsets: Sequence[NDArray[np.integer]]
) -> list[Span | None]:
    """The likeliest span of each row, with its logits where there are any; None for one without a passage.

    Args:
        tables: For each row what `span_tables` says of its spans.
        passage_offsets: For each row, the characters that each token of the passage covers.
    """
    return [
        _best(spans, offsets) if len(offsets) else None
        for spans, offsets in zip(tables, passage_offsets, strict=True)
    ]


def _best(tables: NDArray[np.floating], offsets: NDArray[np.integer]) -> Span:
    first, more = np.unravel_index(int(tables[0].argmax()), tables[0].shape)
    probability, *logits = tables[:, first, more].tolist()
    return Span(*span_characters(int(first), int(first + more), offsets), float(np.log(probability)), *logits)
