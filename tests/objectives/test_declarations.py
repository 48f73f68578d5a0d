import math
import re

import pytest

from pipeline.cache.fields import is_field, spec_of
from pipeline.objectives.declarations import DECLARATIONS
from pipeline.objectives.matches import MATCHES
from pipeline.objectives.needs import columns_of, fields_of, needs, options_of
from pipeline.objectives.objective import build_objective
from pipeline.objectives.problems import phase_problems, term_problems
from pipeline.tasks import TASKS


def term(loss, **options):
    declared = DECLARATIONS[loss]
    source = {"from": "bert"} if declared.fields else {}
    layers = {
        name: 1 for name in ("student_layer", "teacher_layer") if loss in MATCHES and name in declared.options
    }
    student = {"student": declared.tasks[0]} if declared.tasks else {}
    return {"loss": loss, **source, **student, **layers, **options}


@pytest.mark.parametrize("loss", sorted(DECLARATIONS))
def test_every_term_is_built_from_its_defaults(loss):
    assert term_problems(term(loss)) == []
    (built,) = build_objective([term(loss)]).terms
    assert built.name == loss
    assert built.weight == built.scale == 1.0
    assert {name: getattr(built, name) for name in DECLARATIONS[loss].options} == options_of(term(loss))


@pytest.mark.parametrize("loss", sorted(DECLARATIONS))
@pytest.mark.parametrize("task", TASKS)
def test_needed_fields_and_columns_exist_in_a_cache(loss, task):
    if DECLARATIONS[loss].tasks and task not in DECLARATIONS[loss].tasks:
        return
    fields = fields_of(term(loss, student=task))
    assert all(map(is_field, fields))
    held = {column.name for field in fields for column in spec_of(field).columns}
    assert set(columns_of(term(loss, student=task))) <= held | {"passage_offsets", "question_offsets"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (term("kd_kl", temperature=0), "temperature: expected a finite number above 0; got 0"),
        (term("kd_kl", temperature=math.inf), "temperature: .*got inf"),
        (term("kd_kl", temperature=True), "temperature: .*got True"),
        (term("kd_kl", weight=-0.1), "weight: expected a finite number, 0 or more; got -0.1"),
        (term("gold", weight=math.nan), "weight: .*got nan"),
        (term("kd_ce", temperature_schedule={"kind": "flws"}), "temperature_schedule: expected {kind: flsw"),
        (term("kd_ce", temperature_schedule={"kind": "cwsm", "gamma": 1}), "temperature_schedule: expected"),
        (term("kd_ce", temperature_schedule={"kind": "flsw", "gamma": -1}), "temperature_schedule: expected"),
        (
            term("kd_ce", temperature_schedule={"kind": "flsw", "beta": math.nan}),
            "temperature_schedule: exp",
        ),
        (term("kd_ce", temperature_schedule={"kind": "flsw", "mask": 1.0}), "temperature_schedule: expected"),
        (term("kd_ce", temperature_schedule="flsw"), "temperature_schedule: expected"),
        (term("kd_ce", probability_shift=1), "probability_shift: expected true or false"),
        (term("gold", weight_schedule="linear"), "weight_schedule: expected one of constant, linear_decay"),
        (term("gold", reduction="max"), "reduction: expected 'mean' or 'sum'"),
        (term("gold", reduction=[]), "reduction: expected 'mean' or 'sum'"),
        (
            term("kd_ce", scale_by_temperature_squared=1),
            "scale_by_temperature_squared: expected true or false",
        ),
        (term("kd_ce", temperatures=1), "temperatures: .*did you mean 'temperature'"),
        (term("qa_attention_mse", student_layer=1.5), "student_layer: expected a layer's index"),
        ({"loss": "kd_kl"}, "from: expected the alias of a target set"),
        ({"loss": "gold", "from": "bert"}, "from: expected nothing"),
        (term("gold", student="spam"), "student: .*did you mean 'span'"),
        (term("answer_margin", student="classification"), "student: .* that loss 'answer_margin' is defined"),
        ({"loss": "kd_lk"}, "loss: .*did you mean 'kd_kl'"),
        ({}, "loss: expected the name of a loss"),
    ],
)
def test_one_problem_one_sentence(wrong, message):
    (problem,) = term_problems(wrong)
    assert re.match(message, problem)


def test_gold_and_soft_terms_share_their_reduction():
    assert phase_problems([term("gold"), term("kd_kl"), term("answer_margin")]) == []
    (problem,) = phase_problems([term("gold"), term("kd_kl", reduction="sum")])
    assert problem.startswith("reduction: expected one value for all terms")


def test_the_terms_of_a_phase_are_about_one_output():
    (problem,) = phase_problems([term("gold"), term("kd_kl", student="classification")])
    assert problem.startswith("student: expected one output")


def test_a_soft_term_needs_the_logits_of_its_task():
    soft = term("kd_kl", student="classification")
    assert needs([soft]) == {"bert": (("class_logits",), ("class_logits",))}


def test_needs_are_gathered_by_alias():
    terms = [
        term("gold"),
        term("kd_kl"),
        term("answer_margin"),
        {"loss": "qa_attention_mse", "from": "other"},
    ]
    assert needs(terms) == {
        "bert": (("span_logits", "top_spans"), ("end_logits", "start_logits")),
        "other": (("qa_attention",), ("passage_offsets", "qa_attention", "question_offsets")),
    }
