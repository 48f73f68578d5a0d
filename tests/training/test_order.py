import time

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.training.order import WINDOW_BATCHES, announced, epoch_order, num_batches

shapes = st.tuples(
    st.lists(st.integers(1, 400), min_size=1, max_size=300),
    st.integers(1, 9),
    st.integers(1, 4),
    st.integers(0, 2**63),
    st.integers(0, 50),
)


@given(shapes)
@settings(max_examples=150, deadline=None)
def test_every_row_is_counted_once_over_all_ranks(shape):
    lengths, batch_size, world, seed, epoch = shape
    orders = [
        epoch_order(np.array(lengths), seed=seed, epoch=epoch, batch_size=batch_size, world=world, rank=rank)
        for rank in range(world)
    ]
    counted = np.concatenate([order.rows[order.counted] for order in orders])
    assert sorted(counted) == list(range(len(lengths)))
    for order in orders:
        assert order.rows.shape == order.counted.shape
        assert order.rows.shape == (num_batches(len(lengths), batch_size=batch_size, world=world), batch_size)
        assert order.counted[:-1].all()
        assert np.isin(order.rows, np.arange(len(lengths))).all()


@given(shapes)
@settings(max_examples=50, deadline=None)
def test_the_same_key_gives_the_same_order(shape):
    lengths, batch_size, _, seed, epoch = shape
    first, second = (
        epoch_order(np.array(lengths), seed=seed, epoch=epoch, batch_size=batch_size) for _ in range(2)
    )
    np.testing.assert_array_equal(first.rows, second.rows)
    np.testing.assert_array_equal(first.counted, second.counted)


def test_epochs_and_seeds_differ():
    lengths = np.full(1000, 7)
    orders = [
        epoch_order(lengths, seed=seed, epoch=epoch, batch_size=8).rows.ravel()
        for seed, epoch in [(0, 0), (0, 1), (1, 0), (1, 1)]
    ]
    for number, order in enumerate(orders):
        for other in orders[:number]:
            assert (order == other).mean() < 0.02


def test_batches_hold_rows_of_like_length():
    lengths = np.random.default_rng(0).integers(80, 385, size=20_000)
    order = epoch_order(lengths, seed=3, epoch=0, batch_size=32)
    padded = lengths[order.rows].max(axis=1).sum() * 32
    assert padded / lengths.sum() < 1.02


def test_batches_of_a_window_are_spread_over_the_epoch():
    lengths = np.arange(64 * WINDOW_BATCHES * 4)
    means = lengths[epoch_order(lengths, seed=0, epoch=0, batch_size=64).rows].mean(axis=1)
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.2


def test_the_short_batch_shares_its_rows_between_ranks():
    orders = [
        epoch_order(np.ones(20, dtype=int), seed=0, epoch=0, batch_size=4, world=4, rank=r) for r in range(4)
    ]
    assert [order.counted[-1].sum() for order in orders] == [1, 1, 1, 1]


def test_one_million_rows_take_no_time():
    lengths = np.random.default_rng(0).integers(80, 385, size=1_000_000)
    started = time.process_time()
    epoch_order(lengths, seed=0, epoch=0, batch_size=32)
    assert time.process_time() - started < 3


def test_no_rows_are_no_batches():
    assert len(epoch_order(np.zeros(0, dtype=int), seed=0, epoch=0, batch_size=4)) == 0


@given(st.integers(0, 60), st.integers(1, 700))
@settings(max_examples=60, deadline=None)
def test_rows_are_announced_once_before_they_are_read(num_tickets, batch_size):
    tickets = [
        (np.arange(at * batch_size, (at + 1) * batch_size), np.ones(batch_size, np.bool_))
        for at in range(num_tickets)
    ]
    told = []
    seen = []
    for rows, _ in announced(tickets, lambda rows: told.extend(rows.tolist())):
        assert set(rows.tolist()) <= set(told)
        # Some more are on their way, but not the whole epoch.
        assert len(told) <= len(seen) + 2 * (512 + batch_size)
        seen.extend(rows.tolist())
    assert seen == told == list(range(num_tickets * batch_size))
