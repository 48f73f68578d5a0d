import threading
import time

import pytest

from pipeline.training.prefetch import Prefetch


def names():
    return [thread.name for thread in threading.enumerate()]


def test_items_come_in_order_and_the_thread_ends():
    reader = Prefetch(iter(range(100)), depth=3)
    assert list(reader) == list(range(100))
    assert "prefetch" not in names()
    with pytest.raises(StopIteration):
        next(reader)


def test_an_error_is_raised_where_its_item_would_have_come():
    def source():
        yield 1
        yield 2
        raise OSError("disk gone")

    reader = Prefetch(source())
    assert [next(reader), next(reader)] == [1, 2]
    with pytest.raises(OSError, match="disk gone"):
        next(reader)
    assert "prefetch" not in names()


def test_reading_stays_within_its_depth():
    made = []

    def source():
        for number in range(100):
            made.append(number)
            yield number

    reader = Prefetch(source(), depth=2)
    next(reader)
    time.sleep(0.3)
    assert len(made) <= 5
    reader.close()


def test_close_ends_a_thread_that_waits():
    reader = Prefetch(iter(range(1000)), depth=1)
    next(reader)
    reader.close()
    assert "prefetch" not in names()
    assert list(reader) == []


def test_work_runs_beside_the_reader():
    begun = [threading.Event() for _ in range(5)]

    def source():
        for number, event in enumerate(begun):
            event.set()
            yield number

    # While an item is worked on, the next one is begun: without a thread it would be when it is asked for.
    for number in Prefetch(source()):
        assert all(event.wait(timeout=30) for event in begun[: number + 2])
