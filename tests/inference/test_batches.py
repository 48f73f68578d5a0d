from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.inference.batches import padding_waste, token_batches

lengths_of = st.lists(st.integers(1, 400), min_size=0, max_size=200).map(lambda values: np.array(values, int))


@given(lengths_of, st.integers(1, 5000))
def test_every_row_stands_in_one_batch_within_the_budget(lengths, budget):
    batches = token_batches(lengths, budget)
    assert sorted(np.concatenate([*batches, np.array([], int)]).tolist()) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * lengths[batch].max() <= budget


@given(lengths_of, st.integers(1, 5000))
def test_longest_come_first_and_no_two_batches_could_be_one(lengths, budget):
    batches = token_batches(lengths, budget)
    longest = [int(lengths[batch].max()) for batch in batches]
    assert longest == sorted(longest, reverse=True)
    for before, after in pairwise(batches):
        assert (len(before) + 1) * lengths[before].max() > budget or not len(after)


def test_waste_of_a_worked_example():
    # Rows of 4 and 2 tokens in one batch: 8 tokens read, 6 of them real.
    assert padding_waste(np.array([4, 2]), [np.array([0, 1])]) == 0.25
    assert padding_waste(np.array([], int), []) == 0.0


def test_waste_stays_small_on_rows_as_long_as_squads():
    # Lengths with the 5th, 50th and 95th percentile of SQuAD rows in WordPiece tokens: 84, 164, 312.
    random = np.random.default_rng(0)
    lengths = np.clip(random.lognormal(np.log(164), 0.4, 1024), 30, 384).astype(int)
    assert padding_waste(lengths, token_batches(lengths, 4096)) < 0.08
