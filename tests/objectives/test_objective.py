import subprocess
import sys

import pytest
import torch

from pipeline.errors import ParamsError
from pipeline.losses import LOSSES
from pipeline.models.reading import SpanOutputs
from pipeline.objectives.objective import build_objective

ALL = [
    {"loss": "gold"},
    {"loss": "kd_kl", "from": "bert", "temperature": 2.0},
    {"loss": "kd_ce", "from": "bert", "temperature": 8.0, "scale_by_temperature_squared": False},
    {"loss": "answer_margin", "from": "bert", "weight": 0.3},
    {"loss": "qa_attention_mse", "from": "bert", "weight": 0.1},
]


def plain_mean(name, outputs, batch, **options):
    """A soft loss on equal tokens, averaged over start and end, straight from the table."""
    targets = batch["targets"]["bert"]
    rows = {"mask": outputs.passage_mask, "counted": batch["counted"], **options}
    loss = LOSSES.load(name)
    start, _ = loss(outputs.start_logits, targets["start_logits"], **rows)
    end, _ = loss(outputs.end_logits, targets["end_logits"], **rows)
    return (start + end) / 2 / 3


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 8.0])
@pytest.mark.parametrize("loss", ["kd_kl", "kd_ce"])
def test_on_equal_tokens_a_soft_term_is_the_plain_loss(make_reading, loss, temperature):
    outputs, batch = make_reading()
    term = {"loss": loss, "from": "bert", "temperature": temperature, "scale_by_temperature_squared": False}
    got, _ = build_objective([term])(outputs, batch)
    torch.testing.assert_close(got, plain_mean(loss, outputs, batch, temperature=temperature))


def test_temperature_squared_is_applied_once_and_only_where_asked_for(make_reading):
    outputs, batch = make_reading()
    term = {"loss": "kd_kl", "from": "bert", "temperature": 3.0, "weight": 0.5}
    with_square, parts = build_objective([term])(outputs, batch)
    without, plain_parts = build_objective([term | {"scale_by_temperature_squared": False}])(outputs, batch)
    torch.testing.assert_close(with_square, 9 * without)
    assert parts["kd_kl"].total == plain_parts["kd_kl"].total


@pytest.mark.parametrize("loss", ["gold", "kd_kl"])
def test_reduction_sums_or_averages_start_and_end(make_reading, loss):
    outputs, batch = make_reading()
    term = {"loss": loss} if loss == "gold" else {"loss": loss, "from": "bert"}
    mean, _ = build_objective([term])(outputs, batch)
    total, _ = build_objective([term | {"reduction": "sum"}])(outputs, batch)
    torch.testing.assert_close(total, 2 * mean)


def test_each_term_counts_its_own_rows(make_reading):
    outputs, batch = make_reading()
    objective = build_objective(ALL)
    loss, parts = objective(outputs, batch)
    assert [int(part.rows) for part in parts.values()] == objective.counted(batch).tolist() == [2, 3, 3, 1, 3]
    expected = sum(term.scale * parts[term.name].total / parts[term.name].rows for term in objective.terms)
    torch.testing.assert_close(loss.detach(), expected)


def test_filler_rows_and_their_targets_have_no_effect(make_reading):
    outputs, batch = make_reading()
    objective = build_objective(ALL)
    loss, _ = objective(outputs, batch)
    for values in batch["targets"]["bert"].values():
        values[3] = 1
    assert objective(outputs, batch)[0] == loss
    loss.backward()
    for student in (outputs.start_logits, outputs.end_logits, outputs.qa_attention):
        assert not student.grad[3].any()


@pytest.mark.parametrize("loss", ["kd_kl", "kd_ce"])
def test_a_row_teaches_as_much_as_its_teacher_said_of_what_it_reads(make_reading, loss):
    outputs, batch = make_reading(dtype=torch.float64)
    objective = build_objective([{"loss": loss, "from": "bert"}])
    targets = batch["targets"]["bert"]
    # Half of what the teacher says of row 1 lies beyond the student's last token, and all it says of row 2.
    half = torch.tensor([0.0, -1.0, 1.0, torch.tensor([1.0, torch.e**-1, torch.e]).sum().log()])
    for side in ("start", "end"):
        targets[f"{side}_logits"] = targets[f"{side}_logits"].clone()
        targets[f"{side}_map"] = targets[f"{side}_map"].clone()
        targets[f"{side}_logits"][1, :3] = half[:3]
        targets[f"{side}_map"][2] = -1
    unlost = objective(outputs, batch)[1][loss]
    alone = objective(outputs, batch | {"counted": torch.tensor([False, True, False, False])})[1][loss]
    targets["passage_length"] = targets["passage_length"] + torch.tensor([0, 1, 0, 0])
    for side in ("start", "end"):
        targets[f"{side}_logits"][1, 3] = half[3]
    lost = objective(outputs, batch)[1][loss]
    torch.testing.assert_close(lost.total, unlost.total - alone.total / 2)
    assert lost.rows == unlost.rows == 3


def test_micro_batches_with_the_counts_of_the_step_add_up_to_one_batch(make_reading):
    outputs, batch = make_reading()
    objective = build_objective(ALL)
    whole, _ = objective(outputs, batch)
    counts = objective.counted(batch)

    def take(value, rows):
        if isinstance(value, dict):
            return {name: take(inner, rows) for name, inner in value.items()}
        return value[rows]

    fields = ("start_logits", "end_logits", "passage_mask", "question_mask", "qa_attention")
    parts = [
        objective(SpanOutputs(*(getattr(outputs, name)[rows] for name in fields)), take(batch, rows), counts)[
            0
        ]
        for rows in (slice(0, 1), slice(1, 4))
    ]
    torch.testing.assert_close(sum(parts), whole)


def test_a_batch_without_anything_to_count_is_a_zero_with_a_graph(make_reading):
    outputs, batch = make_reading()
    batch["counted"] = torch.zeros(4, dtype=torch.bool)
    loss, _ = build_objective(ALL)(outputs, batch)
    assert loss == 0
    loss.backward()
    assert not outputs.start_logits.grad.any()


def test_the_student_is_read_at_the_layer_of_the_attention_term():
    assert build_objective(ALL).reads.attention_layer == -2
    third = build_objective([{"loss": "qa_attention_mse", "from": "bert", "student_layer": 3}])
    assert third.reads.attention_layer == 3
    assert build_objective(ALL[:1]).reads.attention_layer is None


def test_whole_numbers_are_numbers_too():
    (term,) = build_objective([{"loss": "kd_kl", "from": "bert", "temperature": 2, "weight": 3}]).terms
    assert term.scale == 12.0
    assert isinstance(term.temperature, float)


def test_a_weight_schedule_multiplies_the_configured_weight(make_reading):
    outputs, batch = make_reading()
    term = {"loss": "gold", "weight": 0.5}
    plain, measured = build_objective([term])(outputs, batch)
    fading = build_objective([term | {"weight_schedule": "linear_decay"}])
    assert fading.scales(0.0) == [0.5]
    assert fading.scales(0.75) == [0.125]
    torch.testing.assert_close(fading(outputs, batch, progress=0.75)[0], plain / 4)
    assert fading(outputs, batch, progress=0.75)[1]["gold"].total == measured["gold"].total


def test_every_problem_is_named_at_once():
    terms = [{"loss": "kd_lk", "from": "bert"}, {"loss": "gold", "weight": -1.0, "reduction": "max"}]
    with pytest.raises(ParamsError, match=r"terms\.0\.loss.*kd_kl.*terms\.1\.weight.*terms\.1\.reduction"):
        build_objective(terms)


def test_no_terms_are_refused():
    with pytest.raises(ParamsError, match="at least one"):
        build_objective([])


def test_declarations_need_no_torch():
    code = "import sys, pipeline.objectives.declarations; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
