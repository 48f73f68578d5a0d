from pipeline.evaluation.speed import spread


def test_rows_are_picked_over_the_whole_set():
    assert spread(range(10), 5) == [0, 2, 4, 6, 8]
    assert spread(range(10), 3) == [0, 3, 6]
    assert spread(range(2), 5) == [0, 1]
    assert spread([], 5) == []
