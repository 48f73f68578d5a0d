import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.objectives.alignment import align_logits
from pipeline.objectives.attention import align_attention, shared_characters


@st.composite
def maps(draw):
    positions = draw(st.integers(1, 6))
    token_map = draw(st.lists(st.integers(-1, positions - 1), min_size=1, max_size=10))
    return positions, token_map


@settings(deadline=None, max_examples=100)
@given(
    made=maps(),
    temperature=st.sampled_from([0.5, 1.0, 2.0, 8.0]),
    seed=st.integers(0, 2**16),
    padding=st.integers(0, 3),
)
def test_alignment_is_exact_in_mass(made, temperature, seed, padding):
    positions, token_map = made
    logits = np.random.default_rng(seed).normal(scale=5, size=len(token_map))
    q = np.exp(logits / temperature)
    q /= q.sum()
    expected = np.zeros(positions)
    for index, target in enumerate(token_map):
        if target >= 0:
            expected[target] += q[index]
    aligned = align_logits(
        torch.tensor([[*logits, *[99.0] * padding]]),
        torch.tensor([[*token_map, *[0] * padding]]),
        torch.tensor([len(token_map)]),
        positions=positions,
        temperature=temperature,
    )
    assert aligned.kept.item() == pytest.approx(expected.sum(), abs=1e-12)
    if expected.any():
        got = (aligned.logits[0] / temperature).softmax(0).numpy() * aligned.kept.item()
        np.testing.assert_allclose(got, expected, atol=1e-12)
    assert aligned.logits[0].isneginf().tolist() == (expected == 0).tolist()


def test_an_identity_map_gives_the_logits_back():
    logits = torch.randn(2, 9, generator=torch.Generator().manual_seed(0)) * 20
    token_map = torch.arange(9).expand(2, -1)
    aligned = align_logits(logits, token_map, torch.tensor([9, 9]), positions=9, temperature=3.0)
    torch.testing.assert_close(aligned.logits, logits)
    torch.testing.assert_close(aligned.kept, torch.ones(2))


def test_a_row_that_lost_everything_is_quiet():
    aligned = align_logits(
        torch.randn(1, 3), torch.full((1, 3), -1), torch.tensor([3]), positions=4, temperature=1.0
    )
    assert aligned.kept.item() == 0
    assert aligned.logits.isneginf().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_cached_half_precision_is_aligned_in_float32(dtype):
    logits = torch.tensor([[60000.0, -60000.0, 5.0]]).to(dtype)
    aligned = align_logits(logits, torch.tensor([[0, 0, 1]]), torch.tensor([3]), positions=2, temperature=0.5)
    assert aligned.logits.dtype == torch.float32
    assert aligned.logits.isfinite().all()


def spans(*pairs):
    return torch.tensor([pairs])


def test_shared_characters():
    got = shared_characters(spans((0, 4), (5, 9), (0, 0)), spans((0, 2), (3, 7)))
    assert got.tolist() == [[[2, 1], [0, 2], [0, 0]]]


def test_attention_on_equal_tokens_is_unchanged():
    attention = torch.tensor([[[0.2, 0.8], [0.7, 0.3]]])
    passage, question = spans((0, 3), (4, 7)), spans((0, 2), (3, 5))
    aligned = align_attention(
        attention,
        teacher_passage=passage,
        teacher_question=question,
        student_passage=passage,
        student_question=question,
    )
    torch.testing.assert_close(aligned.attention, attention)
    assert aligned.known.all()


def test_attention_splits_question_tokens_and_averages_passage_tokens():
    aligned = align_attention(
        torch.tensor([[[0.2, 0.8], [0.6, 0.4], [1.0, 0.0]]]),
        teacher_passage=spans((0, 3), (3, 6), (7, 9)),
        teacher_question=spans((0, 4), (5, 8)),
        # One student word over the teacher's first two pieces; one beyond what the teacher read.
        student_passage=spans((0, 6), (7, 9), (20, 22), (0, 0)),
        # The teacher's first question word in pieces of one and three characters; its second not read.
        student_question=spans((0, 1), (1, 4), (0, 0)),
    )
    expected = torch.tensor([[[0.1, 0.3, 0], [0.25, 0.75, 0], [0, 0, 0], [0, 0, 0]]])
    torch.testing.assert_close(aligned.attention, expected)
    assert aligned.known.tolist() == [[True, True, False, False]]


@settings(deadline=None, max_examples=50)
@given(
    cuts=st.lists(st.sets(st.integers(1, 19), max_size=8), min_size=4, max_size=4),
    seed=st.integers(0, 2**16),
)
def test_attention_keeps_its_mass_where_every_character_is_read(cuts, seed):
    def tokens(inner):
        edges = [0, *sorted(inner), 20]
        return torch.tensor([list(itertools.pairwise(edges))])

    teacher_passage, teacher_question, student_passage, student_question = map(tokens, cuts)
    shape = (1, teacher_passage.shape[1], teacher_question.shape[1])
    attention = torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).softmax(
        -1
    )
    aligned = align_attention(
        attention,
        teacher_passage=teacher_passage,
        teacher_question=teacher_question,
        student_passage=student_passage,
        student_question=student_question,
    )
    torch.testing.assert_close(
        aligned.attention.sum(-1), torch.ones(aligned.known.shape, dtype=torch.float64)
    )


def test_mixed_precision_does_not_round_alignment():
    attention = torch.rand(1, 4, 3, generator=torch.Generator().manual_seed(0)).softmax(-1)
    passage, question = spans((0, 1), (1, 2), (2, 3), (3, 4)), spans((0, 1), (1, 2), (2, 3))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        aligned = align_attention(
            attention,
            teacher_passage=passage,
            teacher_question=question,
            student_passage=passage,
            student_question=question,
        )
    torch.testing.assert_close(aligned.attention, attention)
