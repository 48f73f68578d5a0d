import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.binding.token_spans import RowTokens, token_spans
from pipeline.cache.ragged import Ragged


def tokens(*rows):
    """Rows of (question tokens, passage tokens, special tokens between), with one before and one after."""
    questions, passages, _ = zip(*rows, strict=True)
    lengths = [2 + len(q) + len(p) + b for q, p, b in rows]
    return RowTokens(
        *(
            Ragged.from_rows([np.array(part).reshape(-1) for part in parts], np.int32)
            for parts in (questions, passages)
        ),
        np.array(lengths),
    )


def spans(student, teacher, row=0):
    return token_spans(student, teacher).row(row).reshape(-1, 2).tolist()


def test_equal_tokens_overlap_themselves():
    own = tokens(([(0, 3)], [(0, 2), (2, 5)], 1), ([], [(0, 4)], 0))
    assert own.equal(own)
    assert spans(own, own) == [[0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [5, 6]]
    assert spans(own, own, row=1) == [[0, 1], [1, 2], [2, 3]]


def test_words_overlap_the_pieces_of_a_teacher():
    # The teacher has two tokens between question and passage, and cuts the passage after 9 characters.
    teacher = tokens(([(0, 2), (2, 5)], [(0, 3), (3, 6), (7, 9)], 2))
    student = tokens(([(0, 5)], [(0, 6), (7, 12), (13, 15)], 1))
    assert not student.equal(teacher)
    assert spans(student, teacher) == [
        [0, 1],  # before the question
        [1, 3],
        [3, 4],  # between
        [5, 7],
        [7, 8],  # goes on behind what the teacher has read
        [0, 0],  # which it has not read
        [8, 9],  # after the passage
    ]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sets(st.integers(1, 19), max_size=8), min_size=4, max_size=4), st.integers(1, 2))
def test_against_a_search_over_all_pairs(cuts, between):
    def cut(inner):
        return list(itertools.pairwise([0, *sorted(inner), 20]))

    (sq, sp), (tq, tp) = (cut(cuts[0]), cut(cuts[1])), (cut(cuts[2]), cut(cuts[3]))
    found = spans(tokens((sq, sp, between)), tokens((tq, tp, between)))

    def marked(question, passage):
        special = [("b", at, at + 1) for at in range(between)]
        return [
            ("a", 0, 1),
            *(("q", *pair) for pair in question),
            *special,
            *(("p", *pair) for pair in passage),
            ("c", 0, 1),
        ]

    for (kind, start, end), (first, stop) in zip(marked(sq, sp), found, strict=True):
        overlapped = [
            at for at, (other, s, e) in enumerate(marked(tq, tp)) if other == kind and s < end and start < e
        ]
        assert overlapped == list(range(first, stop))
