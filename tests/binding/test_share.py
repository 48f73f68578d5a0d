"""Shares of a split: nested, whole examples, counted, and joined with the same targets as the whole split."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.binding.bind import TRAIN, EvaluationSet, Source, bind
from pipeline.binding.share import ALL, Share
from pipeline.binding.target_rows import TargetSet
from pipeline.cache.reader import TargetCache
from pipeline.errors import DataError
from pipeline.schema import Passage, Segment
from pipeline.tables import read_rows, write_rows


def made(example, window=0, labels=("yes",)):
    return Passage(example, window, str(example), "", "text", (Segment(0, 0, 4),), (), (), labels=labels)


MANY = [made(example, window) for example in range(40) for window in range(1 + example % 2)]


def examples(share):
    return {MANY[at].example for at in share.kept(MANY, "set.train")}


def labelled(share, passages=MANY):
    return {row.example for row in share.shown(passages, "set.train") if row.labels is not None}


@given(
    st.integers(0, 5),
    st.lists(st.one_of(st.integers(1, 40), st.floats(0.01, 1.0)), min_size=2, max_size=2),
)
def test_less_is_a_part_of_more_for_rows_and_labels(seed, amounts):
    small, large = sorted(amounts, key=lambda amount: amount if isinstance(amount, int) else amount * 40)
    assert examples(Share(rows=small, seed=seed)) <= examples(Share(rows=large, seed=seed))
    assert labelled(Share(labelled=small, seed=seed)) <= labelled(Share(labelled=large, seed=seed))
    assert examples(Share(rows=small, seed=seed)) == labelled(Share(labelled=small, seed=seed))


def test_a_share_is_of_examples_and_takes_all_their_passages_in_order():
    share = Share(rows=0.25)
    kept = share.kept(MANY, "set.train")
    assert kept == sorted(kept)
    assert len(examples(share)) == 10
    assert [MANY[at] for at in kept] == [row for row in MANY if row.example in examples(share)]
    assert examples(Share(rows=0.25, seed=1)) != examples(share)


def test_the_smallest_share_is_one_example():
    assert len(examples(Share(rows=0.001))) == 1


def test_labels_are_counted_among_those_there_are():
    half = [row if row.example < 20 else replace(row, labels=None) for row in MANY]
    assert len(labelled(Share(labelled=0.5), half)) == 10
    assert labelled(Share(labelled=20), half) == set(range(20))
    with pytest.raises(DataError, match=r"set\.train, its labels: expected 21 examples or more; got 20"):
        Share(labelled=21).shown(half, "set.train")


def test_more_than_there_is_is_refused():
    with pytest.raises(DataError, match=r"set\.train: expected 41 examples or more; got 40"):
        Share(rows=41).kept(MANY, "set.train")


@pytest.fixture
def bound(tmp_path, words, dataset, teacher):
    """Binds the four rows of a split, the last of them equal to the first, or a share of them."""
    rows = read_rows(dataset / "train.arrow", Passage)
    rows = [replace(row, example=number) for number, row in enumerate(rows)]
    write_rows(dataset / "train.arrow", Passage, rows)
    targets = TargetSet(tmp_path / "bert_foxes", ("span_logits", "top_spans"), ("start_logits",))

    def run(out, share):
        (source,) = bind(
            tmp_path / out,
            name="student",
            language="en",
            tokenizer=words,
            max_length=64,
            max_question_tokens=20,
            sources=[Source(0, 0, dataset, "train", {"bert": targets}, share)],
            evaluate=[EvaluationSet(dataset, "dev")],
            lost_mass_limit=0.05,
        ).sources
        return source

    return run


@pytest.mark.parametrize("seed", range(6))
def test_a_row_of_a_share_is_bound_as_in_the_whole_split(bound, seed, tmp_path):
    share = Share(rows=2, seed=seed)
    kept = share.kept([made(number) for number in range(4)], "")
    whole, part = bound("all", ALL).columns(), bound("part", share).columns()
    for name, column in part.items():
        for row, at in enumerate(kept):
            np.testing.assert_array_equal(column.row(row), whole[name].row(at))
    ids = [part["row_id"].row(row).tobytes() for row in range(2)]
    cache = TargetCache.open(tmp_path / "bert_foxes")
    numbers = [int.from_bytes(row[16:], "little") for row in ids]
    assert len(cache.positions([row[:16] for row in ids], numbers)) == 2


def test_what_a_share_takes_away_is_counted(bound):
    source = bound("part", Share(rows=0.75, labelled=1))
    assert (source.rows, source.left_out_rows) == (3, 1)
    assert source.gold_rows == 1
    # The third row never had a label.
    had = {0, 1, 3} & set(Share(rows=0.75).kept([made(number) for number in range(4)], ""))
    assert source.hidden_labels == len(had) - 1


def test_a_hidden_label_leaves_the_targets_and_no_confusing_answer(bound):
    whole, part = bound("all", ALL), bound("part", Share(labelled=1))
    columns, every = part.columns(), whole.columns()
    hidden = [row for row in range(4) if columns["gold"].row(row)[0] < 0]
    assert len(hidden) == 3
    for row in hidden:
        np.testing.assert_array_equal(columns["bert/start_map"].row(row), every["bert/start_map"].row(row))
        assert columns["bert/confusing"].row(row).tolist() == [-1, -1]
    assert part.targets["bert"]["identity"] == whole.targets["bert"]["identity"]


def test_all_of_a_split_is_described_as_ever(bound, tmp_path):
    bound("all", ALL)
    assert "left_out_rows" not in (tmp_path / "all" / TRAIN / "inputs.json").read_text()
