"""Several teachers as one, against numpy by hand."""

import numpy as np
import pytest
import torch

from pipeline.cache.mix import Mix
from pipeline.models.reading import ClassOutputs
from pipeline.objectives.attention import AlignedAttention, mean_attention
from pipeline.objectives.members import aligned_attention, aligned_logits
from pipeline.objectives.objective import build_objective

SOFT = [
    {"loss": "kd_kl", "from": "mix", "temperature": 2.0},
    {"loss": "kd_ce", "from": "mix", "temperature": 8.0},
]
ALL = [*SOFT, {"loss": "qa_attention_mse", "from": "mix"}, {"loss": "answer_margin", "from": "mix"}]
MEANS = ["mean_logits", "mean_probabilities"]


def softmax(values):
    exps = np.exp(values - np.max(values))
    return exps / exps.sum()


def teacher(logits, token_map):
    """One row of a member: start logits, where their mass goes, padding behind them."""
    return {
        "start_logits": torch.tensor([[*logits, 99.0]]),
        "start_map": torch.tensor([[*token_map, -1]]),
        "passage_length": torch.tensor([len(logits)]),
    }


def distribution(aligned, temperature):
    """What the student is taught: the softmax of the aligned logits, times what was kept."""
    return (aligned.logits[0] / temperature).softmax(0).numpy() * aligned.kept.item()


@pytest.mark.parametrize("temperature", [1.0, 2.0, 8.0])
def test_mean_of_logits_on_equal_tokens(temperature):
    one, other = np.array([1.0, -2.0, 5.0, 0.5]), np.array([3.0, 4.0, -6.0, 0.0])
    token_map = [0, 1, 1, 2]
    mixed = softmax((0.75 * one + 0.25 * other) / temperature)
    expected = [mixed[0], mixed[1] + mixed[2], mixed[3]]
    targets = {"mix/0": teacher(one, token_map), "mix/1": teacher(other, token_map)}
    mix = Mix.of("mean_logits", 2, [3, 1])
    aligned = aligned_logits(targets, "mix", mix, part="start", classes=3, temperature=temperature)
    np.testing.assert_allclose(distribution(aligned, temperature), expected, atol=1e-12)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 8.0])
def test_mean_of_probabilities_on_different_tokens(temperature):
    # The first teacher cuts the passage in five, the second in two and loses the rest of it.
    one, other = np.array([1.0, -2.0, 5.0, 0.5, 2.0]), np.array([3.0, 4.0, 1.0])
    maps = [0, 0, 1, 2, 3], [1, 2, -1]
    p, q = softmax(one / temperature), softmax(other / temperature)
    expected = 0.6 * np.array([p[0] + p[1], p[2], p[3], p[4]]) + 0.4 * np.array([0, q[0], q[1], 0])
    targets = {"mix/0": teacher(one, maps[0]), "mix/1": teacher(other, maps[1])}
    mix = Mix.of("mean_probabilities", 2, [0.6, 0.4])
    aligned = aligned_logits(targets, "mix", mix, part="start", classes=4, temperature=temperature)
    assert aligned.kept.item() == pytest.approx(0.6 + 0.4 * (1 - q[2]), abs=1e-12)
    np.testing.assert_allclose(distribution(aligned, temperature), expected, atol=1e-12)


def test_the_two_means_differ():
    targets = {"mix/0": teacher([9.0, 0.0], [0, 1]), "mix/1": teacher([0.0, 9.0], [0, 1])}
    said = [
        aligned_logits(targets, "mix", Mix.of(mean, 2, [3, 1]), part="start", classes=2, temperature=1.0)
        for mean in MEANS
    ]
    assert distribution(said[0], 1.0)[0] == pytest.approx(softmax([6.75, 2.25])[0], abs=1e-6)
    assert distribution(said[1], 1.0)[0] == pytest.approx(0.75, abs=1e-3)


def test_a_row_that_one_teacher_lost_is_taught_by_the_other_at_its_weight():
    targets = {"mix/0": teacher([1.0, 2.0], [-1, -1]), "mix/1": teacher([1.0, 2.0], [0, 1])}
    mix = Mix.of("mean_probabilities", 2)
    aligned = aligned_logits(targets, "mix", mix, part="start", classes=2, temperature=1.0)
    np.testing.assert_allclose(distribution(aligned, 1.0), 0.5 * softmax([1.0, 2.0]), atol=1e-6)
    targets["mix/1"]["start_map"] = torch.tensor([[-1, -1, -1]])
    lost = aligned_logits(targets, "mix", mix, part="start", classes=2, temperature=1.0)
    assert lost.kept.item() == 0
    assert lost.logits.isneginf().all()


def test_attention_is_averaged_over_those_that_say_something():
    one = AlignedAttention(torch.tensor([[[0.2, 0.8], [0.0, 0.0]]]), torch.tensor([[True, False]]))
    other = AlignedAttention(torch.tensor([[[0.6, 0.4], [0.5, 0.5]]]), torch.tensor([[True, True]]))
    neither = AlignedAttention(torch.zeros(1, 2, 2), torch.tensor([[False, False]]))
    mean = mean_attention([one, other, neither], [0.5, 0.25, 0.25])
    third = [(2 * 0.2 + 0.6) / 3, (2 * 0.8 + 0.4) / 3]
    torch.testing.assert_close(mean.attention, torch.tensor([[third, [0.5, 0.5]]]))
    assert mean.known.all()
    assert not mean_attention([neither, neither], [0.5, 0.5]).known.any()


def test_attention_of_different_tokens_is_aligned_before_it_is_averaged():
    student = torch.tensor([[[0, 4], [4, 8]]])
    whole = {
        "qa_attention": torch.tensor([[[0.9, 0.1]]]),
        "passage_offsets": torch.tensor([[[0, 8]]]),
        "question_offsets": student,
    }
    halves = {
        "qa_attention": torch.tensor([[[1.0], [1.0]]]),
        "passage_offsets": student,
        "question_offsets": torch.tensor([[[0, 8]]]),
    }
    batch = {
        "passage_offsets": student,
        "question_offsets": student,
        "targets": {"mix/0": whole, "mix/1": halves},
    }
    mean = aligned_attention(batch, "mix", Mix.of("mean_probabilities", 2, [1, 3]))
    row = [0.25 * 0.9 + 0.75 * 0.5, 0.25 * 0.1 + 0.75 * 0.5]
    torch.testing.assert_close(mean.attention, torch.tensor([[row, row]]))


@pytest.mark.parametrize("mean", MEANS)
def test_a_mix_of_one_teacher_with_itself_is_that_teacher(make_reading, mean):
    outputs, batch = make_reading(dtype=torch.float32)
    (alone,) = batch["targets"].values()
    mixed = batch | {
        "targets": {"mix/0": alone, "mix/1": alone, "mix": {"confusing": alone["confusing"]}},
    }
    one = build_objective([{**term, "from": "bert"} for term in ALL])(outputs, batch)[1]
    two = build_objective(ALL, {"mix": Mix.of(mean, 2, [2, 5])})(outputs, mixed)[1]
    for name, measured in one.items():
        assert two[name].rows == measured.rows > 0
        torch.testing.assert_close(two[name].total, measured.total, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("mean", MEANS)
def test_the_term_follows_the_mean_by_hand(make_reading, mean):
    """kd_ce of one row against numpy, from the logits to the loss."""
    outputs, batch = make_reading(seed=3)
    others = make_reading(seed=4)[1]["targets"]["bert"]
    members = [batch["targets"]["bert"], others]
    batch["targets"] = {f"mix/{place}": member for place, member in enumerate(members)}
    batch["counted"] = torch.tensor([False, True, False, False])
    term = {"loss": "kd_ce", "from": "mix", "temperature": 2.0, "scale_by_temperature_squared": False}
    objective = build_objective([term | {"reduction": "sum"}], {"mix": Mix.of(mean, 2, [1, 4])})
    got = objective(outputs, batch)[0].item()
    expected = 0.0
    for side in ("start", "end"):
        said = [member[f"{side}_logits"][1, :3].numpy() for member in members]
        if mean == "mean_logits":
            soft = softmax((0.2 * said[0] + 0.8 * said[1]) / 2)
        else:
            soft = 0.2 * softmax(said[0] / 2) + 0.8 * softmax(said[1] / 2)
        student = getattr(outputs, f"{side}_logits")[1, :3].detach().numpy() / 2
        expected -= (soft * (student - np.log(np.exp(student).sum()))).sum()
    assert got == pytest.approx(expected, abs=1e-9)


def test_an_alias_that_is_no_mix_stays_one_teacher(make_reading):
    outputs, batch = make_reading()
    terms = [{"loss": "kd_kl", "from": "bert"}, {"loss": "kd_kl", "from": "mix"}]
    batch["targets"] |= {"mix/0": batch["targets"]["bert"], "mix/1": make_reading(5)[1]["targets"]["bert"]}
    first, second = build_objective(terms, {"mix": Mix.of("mean_logits", 2)}).terms
    assert first.mix is None
    assert first(outputs, batch) != second(outputs, batch)


@pytest.mark.parametrize("mean", MEANS)
def test_a_soft_score_follows_the_mean(mean):
    draw = np.random.default_rng(1).normal
    one, other, student = draw(size=(3, 2)), draw(size=(3, 2)), draw(size=(3, 1))
    one[0], other[0] = [-90.0, 90.0], [-90.0, 90.0]  # as sure as can be
    batch = {
        "counted": torch.tensor([True, True, False]),
        "passage_offsets": torch.tensor([[[0, 1]]] * 3),
        "targets": {
            f"mix/{place}": {"class_logits": torch.tensor(z)} for place, z in enumerate((one, other))
        },
    }
    term = {"loss": "soft_score_mse", "from": "mix", "student": "relevance"}
    got, _ = build_objective([term], {"mix": Mix.of(mean, 2, [1, 3])})(
        ClassOutputs(torch.tensor(student)), batch
    )
    if mean == "mean_logits":
        expected = [softmax(row)[1] for row in 0.25 * one + 0.75 * other]
    else:
        expected = [0.25 * softmax(p)[1] + 0.75 * softmax(q)[1] for p, q in zip(one, other, strict=True)]
    scores = 1 / (1 + np.exp(-student[:, 0]))
    assert got.item() == pytest.approx(((scores - expected)[:2] ** 2).mean())
