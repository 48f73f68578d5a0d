import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.schema import Answer
from pipeline.tasks.answers import gold_span, span_characters, span_text
from pipeline.tasks.span import best_spans, best_two_step_spans, target_columns

TEXT = "The fox  ran home"
OFFSETS = np.array([[0, 3], [4, 7], [9, 12], [13, 17]])


def softmax(values):
    exps = np.exp(values - values.max())
    return exps / exps.sum()


@settings(deadline=None, max_examples=50)
@given(
    length=st.integers(1, 12),
    padding=st.integers(0, 4),
    limit=st.integers(1, 14),
    k=st.integers(1, 9),
    seed=st.integers(0, 2**16),
)
def test_best_spans_equal_an_exhaustive_search(length, padding, limit, k, seed):
    generator = torch.Generator().manual_seed(seed)
    start, end = torch.randn(2, 1, length + padding, generator=generator) * 3
    mask = (torch.arange(length + padding) < length).unsqueeze(0)
    found = best_spans(start, end, mask, max_answer_tokens=limit, k=k)
    p_start, p_end = softmax(start[0, :length].numpy()), softmax(end[0, :length].numpy())
    every = sorted(
        (
            (math.log(p_start[i]) + math.log(p_end[j]), i, j)
            for i in range(length)
            for j in range(i, min(length, i + limit))
        ),
        reverse=True,
    )[:k]
    assert list(zip(found.starts[0].tolist(), found.ends[0].tolist(), strict=True))[: len(every)] == [
        (i, j) for _, i, j in every
    ]
    assert found.log_probs[0, : len(every)].tolist() == pytest.approx(
        [score for score, _, _ in every], abs=1e-4
    )
    assert found.starts[0, len(every) :].tolist() == [-1] * (k - len(every))


def test_a_row_without_positions_has_no_span():
    found = best_spans(torch.zeros(1, 3), torch.zeros(1, 3), torch.zeros(1, 3, dtype=torch.bool), k=2)
    assert found.starts.tolist() == [[-1, -1]]
    assert found.ends.tolist() == [[-1, -1]]
    assert found.log_probs.isneginf().all()


def test_half_precision_logits_are_scored_in_float32():
    start, end = torch.randn(2, 3, 9, generator=torch.Generator().manual_seed(0)).half()
    mask = torch.ones(3, 9, dtype=torch.bool)
    assert best_spans(start, end, mask).log_probs.equal(
        best_spans(start.float(), end.float(), mask).log_probs
    )


def test_target_columns_hold_spans_only_where_asked():
    logits, mask = torch.zeros(2, 4), torch.ones(2, 4, dtype=torch.bool)
    assert set(target_columns(logits, logits, mask)) == {"start_logits", "end_logits"}
    assert target_columns(logits, logits, mask, top_k=3)["top_starts"].shape == (2, 3)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer("fox", 4), (1, 1)),
        (Answer("fox  ran", 4), (1, 2)),
        (Answer(" fox ", 3), (1, 1)),
        (Answer("ox  ra", 5), (1, 2)),
        (Answer("home", 13), (3, 3)),
        (Answer("home and", 13), (-1, -1)),
        (Answer("away", 30), (-1, -1)),
        (Answer(" ", 8), (-1, -1)),
    ],
)
def test_gold_span_covers_the_answer(answer, expected):
    assert gold_span([answer], OFFSETS) == expected


def test_gold_span_takes_the_first_answer_that_was_not_cut_off():
    assert gold_span([Answer("home", 13), Answer("fox", 4)], OFFSETS[:2]) == (1, 1)
    assert gold_span([], OFFSETS) == (-1, -1)
    assert gold_span([Answer("fox", 4)], np.zeros((0, 2), np.int32)) == (-1, -1)


def test_tokens_give_back_the_text_as_it_stands():
    assert span_characters(1, 2, OFFSETS) == (4, 12)
    assert span_text(1, 2, OFFSETS, TEXT) == "fox  ran"


@pytest.mark.parametrize(("beam", "limit", "k"), [(1, 30, 1), (3, 4, 5), (6, 2, 20)])
def test_two_step_spans_equal_an_exhaustive_search(beam, limit, k):
    generator = torch.Generator().manual_seed(beam)
    start, ends = torch.randn(3, 7, generator=generator), torch.randn(3, beam, 7, generator=generator)
    lengths = [7, 4, 0]
    mask = torch.arange(7) < torch.tensor(lengths)[:, None]
    order = start.masked_fill(~mask, -1e30).topk(beam, dim=1).indices
    best_starts = order.masked_fill(~mask.gather(1, order), -1)
    found = best_two_step_spans(start, best_starts, ends, mask, max_answer_tokens=limit, k=k)
    for row, length in enumerate(lengths):
        first = start[row, :length].log_softmax(0)
        scored = [
            (float(first[begin] + ends[row, place, :length].log_softmax(0)[end]), begin, end)
            for place, begin in enumerate(best_starts[row].tolist())
            if begin >= 0
            for end in range(begin, min(length, begin + limit))
        ]
        scored = sorted(scored, reverse=True)[:k]
        scored += [(-math.inf, -1, -1)] * (k - len(scored))
        assert found.starts[row].tolist() == [begin for _, begin, _ in scored]
        assert found.ends[row].tolist() == [end for _, _, end in scored]
        assert found.log_probs[row].tolist() == pytest.approx([score for score, _, _ in scored], abs=1e-5)
