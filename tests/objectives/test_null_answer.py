"""Terms of spans that may be none: one place more, apart from all tokens, by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.cache.mix import Mix
from pipeline.errors import ModelError
from pipeline.objectives.needs import needs
from pipeline.objectives.objective import build_objective
from pipeline.objectives.problems import phase_problems, term_problems

KD = {"loss": "kd_ce", "from": "bert", "temperature": 2.0, "scale_by_temperature_squared": False}
LENGTHS = [5, 3, 4]


def log_softmax(values):
    shifted = values - values.max()
    return shifted - np.log(np.exp(shifted).sum())


def null_logits(seed=7):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(4, 2, generator=generator, dtype=torch.float64)


@pytest.fixture
def reading(make_reading):
    """Row 0 has an answer, row 1 is known to have none, of row 2 nothing is known, row 3 is filler."""
    outputs, batch = make_reading()
    batch["gold"] = torch.tensor([[1, 2], [-2, -2], [-1, -1], [0, 1]])
    batch["targets"]["bert"]["null_logits"] = null_logits(8)
    return replace(outputs, null_logits=null_logits().requires_grad_()), batch


def joined(outputs, row, side):
    """Logits of no answer and of the row's tokens."""
    logits = (outputs.start_logits, outputs.end_logits)[side][row, : LENGTHS[row]]
    return torch.cat([outputs.null_logits[row, side, None], logits]).detach().numpy()


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_gold(reading, reduction):
    outputs, batch = reading
    objective = build_objective([{"loss": "gold", "null_answer": True, "reduction": reduction}])
    _, measured = objective(outputs, batch)
    places = {0: (1 + 1, 2 + 1), 1: (0, 0)}
    expected = -sum(
        log_softmax(joined(outputs, row, side))[places[row][side]] for row in places for side in (0, 1)
    )
    assert measured["gold"].rows == 2
    assert float(measured["gold"].total) == pytest.approx(expected / (2 if reduction == "mean" else 1))


def test_gold_without_the_option_knows_nothing_of_such_rows(reading):
    outputs, batch = reading
    _, measured = build_objective([{"loss": "gold"}])(outputs, batch)
    assert measured["gold"].rows == 1
    batch["gold"][1] = -1
    assert build_objective([{"loss": "gold"}])(outputs, batch)[1]["gold"].total == measured["gold"].total


def soft(outputs, targets, member="bert"):
    said = targets[member]
    total = 0.0
    for row, length in enumerate(LENGTHS):
        for side, name in enumerate(("start_logits", "end_logits")):
            logits = np.append(said["null_logits"][row, side], said[name][row, :length])
            q = np.exp(log_softmax(logits / 2.0))
            total -= (q * log_softmax(joined(outputs, row, side) / 2.0)).sum()
    return total


def test_soft_targets(reading):
    outputs, batch = reading
    _, measured = build_objective([{**KD, "null_answer": True, "reduction": "sum"}])(outputs, batch)
    assert float(measured["kd_ce"].total) == pytest.approx(soft(outputs, batch["targets"]))
    assert measured["kd_ce"].rows == 3


def test_a_student_that_agrees_is_taught_nothing(reading):
    outputs, batch = reading
    said = batch["targets"]["bert"]
    same = replace(outputs, start_logits=said["start_logits"], end_logits=said["end_logits"])
    same = replace(same, null_logits=said["null_logits"])
    for loss in ("kd_kl", "kd_mse"):
        _, measured = build_objective([{**KD, "loss": loss, "null_answer": True}])(same, batch)
        assert float(measured[loss].total) == pytest.approx(0.0, abs=1e-9)
        _, measured = build_objective([{**KD, "loss": loss, "null_answer": True}])(outputs, batch)
        assert float(measured[loss].total) > 0.01


def test_no_answer_never_lands_on_a_token(reading):
    """All tokens of the teacher fall on the student's last one: the mass of no answer stays where it is."""
    outputs, batch = reading
    said = batch["targets"]["bert"]
    for name in ("start_map", "end_map"):
        said[name] = torch.where(said[name] >= 0, 2, -1)
    _, measured = build_objective([{**KD, "null_answer": True, "reduction": "sum"}])(outputs, batch)
    expected = 0.0
    for row, length in enumerate(LENGTHS):
        for side, name in enumerate(("start_logits", "end_logits")):
            logits = np.append(said["null_logits"][row, side], said[name][row, :length])
            none = np.exp(log_softmax(logits / 2.0))[0]
            own = log_softmax(joined(outputs, row, side) / 2.0)
            expected -= none * own[0] + (1 - none) * own[1 + 2]
    assert float(measured["kd_ce"].total) == pytest.approx(expected)


def test_a_mix_of_probabilities(reading):
    outputs, batch = reading
    first = batch["targets"].pop("bert")
    second = {**first, "null_logits": null_logits(9), "start_logits": first["end_logits"]}
    batch["targets"] = {"bert": {}, "bert/0": first, "bert/1": second}
    mix = Mix.of("mean_probabilities", 2, [3, 1])
    term = {**KD, "null_answer": True, "reduction": "sum"}
    _, measured = build_objective([term], {"bert": mix})(outputs, batch)
    # The cross-entropy is linear in the teacher's distribution.
    expected = 0.75 * soft(outputs, batch["targets"], "bert/0") + 0.25 * soft(
        outputs, batch["targets"], "bert/1"
    )
    assert float(measured["kd_ce"].total) == pytest.approx(expected)


def test_a_teacher_that_errs_is_put_right_about_no_answer_too(reading):
    outputs, batch = reading
    shifted = {**KD, "null_answer": True, "reduction": "sum", "probability_shift": True}
    _, measured = build_objective([shifted])(outputs, batch)
    said = batch["targets"]["bert"]
    for row, right in ((0, (2, 3)), (1, (0, 0))):
        for side, name in enumerate(("start_logits", "end_logits")):
            logits = torch.cat([said["null_logits"][row, side, None], said[name][row, : LENGTHS[row]]])
            best = int(logits.argmax())
            logits[[best, right[side]]] = logits[[right[side], best]]
            said["null_logits"][row, side], said[name][row, : LENGTHS[row]] = logits[0], logits[1:]
    assert float(measured["kd_ce"].total) == pytest.approx(soft(outputs, batch["targets"]))


def test_a_student_that_cannot_say_so(make_reading):
    outputs, batch = make_reading()
    with pytest.raises(ModelError, match="expected an encoder that reads a special token"):
        build_objective([{"loss": "gold", "null_answer": True}])(outputs, batch)


def test_what_it_needs_of_a_target_set():
    fields, columns = needs([{**KD, "null_answer": True}])["bert"]
    assert fields == ("null_logits", "span_logits")
    assert columns == ("end_logits", "null_logits", "start_logits")
    assert needs([KD])["bert"][0] == ("span_logits",)


def test_problems():
    of_class = {"loss": "gold", "student": "classification", "null_answer": True}
    assert term_problems(of_class) == ["null_answer: expected false: only spans can be none; got True"]
    assert term_problems({**of_class, "student": "answers"}, {"answers": "span"}) == []
    (problem,) = phase_problems([{"loss": "gold", "null_answer": True}, KD])
    assert problem.startswith("null_answer: expected one value for all terms")
    both = [{"loss": "gold", "null_answer": True}, {**KD, "null_answer": True}]
    assert phase_problems(both) == []
