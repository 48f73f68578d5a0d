from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.training.mixture import Mixture, drawing_probabilities

shapes = st.tuples(
    st.lists(st.integers(1, 60), min_size=1, max_size=4),
    st.sampled_from([None, 0.0, 0.5, 1.0, 3.0]),
    st.integers(1, 5),
    st.integers(1, 3),
    st.integers(0, 2**63),
)


def lengths_of(sizes):
    random = np.random.default_rng(len(sizes))
    return [random.integers(5, 50, size=size) for size in sizes]


def epochs_of(mixture, batch_size, world, seed, count):
    """Of each epoch the batches of all ranks together: pairs of the counted rows and all rows read."""
    epochs = []
    for epoch in range(count):
        orders = [
            mixture.epoch(seed=seed, epoch=epoch, batch_size=batch_size, world=world, rank=rank)
            for rank in range(world)
        ]
        assert {len(order) for order in orders} == {
            mixture.num_batches(batch_size=batch_size, world=world),
        }
        epochs.append(
            [
                (
                    np.concatenate([order.rows[at][order.counted[at]] for order in orders]),
                    np.concatenate([order.rows[at] for order in orders]),
                )
                for at in range(len(orders[0]))
            ]
        )
    return epochs


@given(shapes)
@settings(max_examples=100, deadline=None)
def test_every_row_of_a_source_is_counted_once_a_pass_over_all_ranks(shape):
    sizes, tau, batch_size, world, seed = shape
    first = np.cumsum([0, *sizes])
    epochs = epochs_of(Mixture(lengths_of(sizes), tau), batch_size, world, seed, 3)
    if tau is None:
        for batches in epochs:
            assert sorted(np.concatenate([rows for rows, _ in batches])) == list(range(sum(sizes)))
        return
    for source, size in enumerate(sizes):
        here = range(first[source], first[source + 1])
        counts = Counter(dict.fromkeys(here, 0))
        whole_passes = 0
        for rows, everything in (batch for batches in epochs for batch in batches):
            if everything[0] in here:
                assert set(everything) <= set(here)  # one source a batch
                counts.update(rows.tolist())
                if set(counts.values()) == {whole_passes + 1}:
                    whole_passes += 1
        assert set(counts.values()) <= {whole_passes, whole_passes + 1}
        assert size == len(counts)


def test_ranks_draw_the_same_sources_and_epochs_do_not():
    mixture = Mixture(lengths_of([200, 200]), 1.0)
    drawn = {
        (epoch, rank): (
            mixture.epoch(seed=1, epoch=epoch, batch_size=2, world=2, rank=rank).rows[:, 0] >= 200
        ).tolist()
        for epoch in (0, 1)
        for rank in (0, 1)
    }
    assert drawn[0, 0] == drawn[0, 1]
    assert drawn[1, 0] == drawn[1, 1]
    assert drawn[0, 0] != drawn[1, 0]


def test_an_order_depends_on_seed_epoch_world_and_rank_alone():
    def order(mixture):
        return mixture.epoch(seed=3, epoch=2, batch_size=4, world=2, rank=1).rows

    mixture = Mixture(lengths_of([40, 10]), 0.5)
    mixture.epoch(seed=3, epoch=0, batch_size=4, world=2, rank=1)
    np.testing.assert_array_equal(order(mixture), order(Mixture(lengths_of([40, 10]), 0.5)))


@pytest.mark.parametrize(
    ("tau", "wanted"),
    [(0.0, [1 / 3, 1 / 3, 1 / 3]), (1.0, [0.1, 0.2, 0.7]), (2.0, [1 / 54, 4 / 54, 49 / 54])],
)
def test_shares_are_powers_of_sizes(tau, wanted):
    np.testing.assert_allclose(drawing_probabilities([10, 20, 70], tau), wanted)


def test_an_empty_source_and_a_great_power_are_no_numbers_trouble():
    np.testing.assert_array_equal(drawing_probabilities([0, 10, 20], 0.0), [0, 0.5, 0.5])
    np.testing.assert_array_equal(drawing_probabilities([10, 20], 1e6), [0, 1])


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0])
def test_sources_are_drawn_as_often_as_their_shares_say(tau):
    sizes = [2000, 6000]
    order = Mixture(lengths_of(sizes), tau).epoch(seed=0, epoch=1, batch_size=4)
    share = drawing_probabilities([500, 1500], tau)[1]
    # 2,000 draws: five standard deviations are below 0.06.
    assert (order.rows[:, 0] >= 2000).mean() == pytest.approx(share, abs=0.06)


def test_sources_of_equal_lengths_are_permuted_otherwise():
    rows = Mixture([np.full(64, 9), np.full(64, 9)], 0.0).epoch(seed=0, epoch=0, batch_size=4).rows
    first, second = rows[rows[:, 0] < 64], rows[rows[:, 0] >= 64]
    assert (first[:4] != second[:4] - 64).any()


def test_one_source_in_one_order_is_the_order_of_before():
    from pipeline.training.order import epoch_order

    lengths = lengths_of([50])
    mine = Mixture(lengths).epoch(seed=7, epoch=3, batch_size=4, world=2, rank=1)
    theirs = epoch_order(lengths[0], seed=7, epoch=3, batch_size=4, world=2, rank=1)
    np.testing.assert_array_equal(mine.rows, theirs.rows)
    np.testing.assert_array_equal(mine.counted, theirs.counted)
