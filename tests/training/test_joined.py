"""Batches that hold rows of several sources, and what terms count in them."""

import numpy as np
import pytest
import torch

from pipeline.models.bert import build
from pipeline.models.reading import read
from pipeline.objectives.objective import build_objective
from pipeline.training.joined import JoinedStream

SOFT = {"loss": "kd_kl", "from": "teacher"}
TERMS = [
    {"loss": "gold"},
    {**SOFT, "sources": ["made_up.train"]},
    {"loss": "answer_margin", "from": "teacher", "sources": ["made_up.train"]},
    {"loss": "qa_attention_mse", "from": "teacher", "student_layer": -1, "sources": ["made_up.train"]},
]
SOURCES = ["made_up.train", "made_up.more"]


@pytest.fixture
def streams(columns):
    """A source of 22 rows with a teacher, and one of the same rows without."""
    return columns(TERMS), columns(TERMS[:1])


@pytest.fixture
def measured(world, shape):
    """The loss of a batch, its terms and the gradients, of a student that is the same every time."""
    model = build(world.tokenizer, **shape, seed=1).eval()

    def measure(objective, batch):
        model.zero_grad()
        outputs = read(
            model,
            batch["inputs"],
            batch["question"],
            batch["passage"],
            attention_layer=objective.reads.attention_layer,
        )
        loss, terms = objective(outputs, batch)
        loss.backward()
        return (
            loss.detach(),
            terms,
            torch.cat([value.grad.ravel() for value in model.parameters() if value.grad is not None]),
        )

    return measure


def ticket(rows, counted=None):
    at = np.array(rows)
    return at, np.ones(len(at), np.bool_) if counted is None else np.array(counted)


def test_a_mixed_batch_measures_what_its_sources_do(streams, measured):
    rows = [3, 30, 4, 24, 5, 41, 0]
    joined = JoinedStream(streams).__getitems__(ticket(rows))
    assert joined["sources"] == (0, 1)
    assert joined["source"].tolist() == [0, 1, 0, 1, 0, 1, 0]
    _, mixed, gradients = measured(build_objective(TERMS, sources=SOURCES), joined)
    assert gradients.isfinite().all()
    _, first, _ = measured(build_objective(TERMS), streams[0].__getitems__(ticket([3, 4, 5, 0])))
    _, second, _ = measured(build_objective(TERMS[:1]), streams[1].__getitems__(ticket([8, 2, 19])))
    for name, (total, count) in mixed.items():
        others = second.get(name)
        assert count == first[name].rows + (others.rows if others else 0)
        torch.testing.assert_close(
            total, first[name].total + (others.total if others else 0.0), rtol=1e-5, atol=1e-5
        )
    assert mixed["kd_kl"].rows == 4


def test_rows_that_a_term_does_not_count_have_no_gradient(streams, measured):
    objective = build_objective(TERMS[1:], sources=SOURCES)
    _, _, alone = measured(objective, JoinedStream(streams).__getitems__(ticket([3, 4])))
    _, _, mixed = measured(objective, JoinedStream(streams).__getitems__(ticket([3, 30, 4, 24])))
    torch.testing.assert_close(mixed, alone, rtol=1e-4, atol=1e-6)


def test_a_batch_without_rows_of_a_terms_sources_counts_nothing_for_it(streams, measured):
    batch = JoinedStream(streams).__getitems__(ticket([30, 41]))
    assert batch["targets"] == {}
    objective = build_objective(TERMS, sources=SOURCES)
    assert objective.counted(batch).tolist()[1:] == [0, 0, 0]
    loss, terms, _ = measured(objective, batch)
    assert loss == terms["gold"].total / 2
    assert terms["kd_kl"].total == 0
    loss, _, gradients = measured(build_objective(TERMS[1:], sources=SOURCES), batch)
    assert loss == 0
    assert not gradients.any()


def test_fillers_count_for_no_term(streams):
    batch = JoinedStream(streams).__getitems__(ticket([3, 30, 4], [True, False, False]))
    assert build_objective(TERMS[1:2], sources=SOURCES).counted(batch).tolist() == [1]


def test_rows_are_numbered_through(streams):
    joined = JoinedStream(streams)
    assert len(joined) == 44
    assert [len(lengths) for lengths in joined.source_lengths] == [22, 22]
    mine = joined.__getitems__(ticket([22, 21]))["inputs"]["input_ids"]
    theirs = [streams[0].__getitems__(ticket([row]))["inputs"]["input_ids"][0] for row in (0, 21)]
    for row, other in zip(mine, theirs, strict=True):
        assert row[: len(other)].tolist() == other.tolist()
        assert not row[len(other) :].any()


def test_a_term_over_several_teachers_is_the_mean_of_theirs(streams, measured):
    stream = streams[0]
    batch = stream.__getitems__(ticket([3, 4, 5]))
    one = {**batch["targets"]["teacher"]}
    other = {**one, "start_logits": one["end_logits"], "end_logits": one["start_logits"]}
    batch["targets"] = {"one": one, "other": other}
    term = {"loss": "kd_kl", "temperature": 2.0, "weight": 3.0}
    both = build_objective([{**term, "from": ["one", "other"]}])
    assert [part.name for part in both.terms] == ["kd_kl_one", "kd_kl_other"]
    loss, _, gradients = measured(both, batch)
    apart = [measured(build_objective([{**term, "from": alias}]), batch) for alias in ("one", "other")]
    torch.testing.assert_close(loss, (apart[0][0] + apart[1][0]) / 2)
    torch.testing.assert_close(gradients, (apart[0][2] + apart[1][2]) / 2, rtol=1e-4, atol=1e-6)


def test_rows_are_announced_to_their_sources(streams, monkeypatch):
    told = []
    for number, stream in enumerate(streams):
        monkeypatch.setattr(
            stream, "announce", lambda rows, number=number: told.append((number, rows.tolist()))
        )
    JoinedStream(streams).announce(np.array([30, 3, 22, 21]))
    assert told == [(0, [3, 21]), (1, [8, 0])]
