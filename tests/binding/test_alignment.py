import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.binding.alignment import LOST, token_maps
from pipeline.cache.ragged import Ragged


def ragged(*rows):
    return Ragged.from_rows([np.array(row, np.int32).reshape(-1) for row in rows], np.int32)


def maps(teacher, student):
    start, end = token_maps(ragged(teacher), ragged(student))
    return start.values.tolist(), end.values.tolist()


@st.composite
def token_rows(draw, num_characters):
    """Tokens over a text: cut anywhere, some dropped."""
    edges = [0, *sorted(draw(st.sets(st.integers(1, num_characters))) - {num_characters}), num_characters]
    return [span for span in itertools.pairwise(edges) if draw(st.integers(0, 4))]


@st.composite
def passages(draw):
    num_characters = draw(st.integers(1, 15))
    return draw(token_rows(num_characters)), draw(token_rows(num_characters))


def token_over(character, tokens):
    return next((i for i, (start, end) in enumerate(tokens) if start <= character < end), None)


@settings(deadline=None, max_examples=200)
@given(st.lists(passages(), min_size=1, max_size=4))
def test_maps_equal_a_search_by_character(rows):
    start_map, end_map = token_maps(
        ragged(*(teacher for teacher, _ in rows)), ragged(*(student for _, student in rows))
    )
    for row, (teacher, student) in enumerate(rows):
        for index, (start, end) in enumerate(teacher):
            covered = [token_over(character, student) for character in range(start, end)]
            found = [token for token in covered if token is not None]
            assert start_map.row(row)[index] == (found[0] if found else LOST)
            was_cut = covered[-1] is None and bool(student) and student[-1][1] < end
            assert end_map.row(row)[index] == (found[-1] if found and not was_cut else LOST)


def test_equal_tokens_map_to_themselves():
    tokens = [(0, 3), (4, 7), (7, 8)]
    assert maps(tokens, tokens) == ([0, 1, 2], [0, 1, 2])


def test_pieces_and_words():
    pieces, word = [(0, 2), (2, 5), (6, 8)], [(0, 5), (6, 8)]
    assert maps(pieces, word) == ([0, 0, 1], [0, 0, 1])
    assert maps(word, pieces) == ([0, 2], [1, 2])


def test_a_space_that_only_the_teacher_covers_is_no_loss():
    assert maps([(0, 3), (3, 7)], [(0, 3), (4, 7)]) == ([0, 1], [0, 1])


def test_what_was_cut_off_is_lost():
    assert maps([(0, 3), (4, 9), (10, 12)], [(0, 3), (4, 6)]) == ([0, 1, LOST], [0, LOST, LOST])


@pytest.mark.parametrize("student", [[], [(0, 3)]])
def test_rows_without_tokens(student):
    assert maps([], student) == ([], [])
    assert maps([(4, 6)], student) == ([LOST], [LOST])
