"""Losses of one's own, named as module:attribute."""

import re
import sys

import pytest
import torch

from pipeline.objectives.needs import needs, options_of
from pipeline.objectives.objective import build_objective
from pipeline.objectives.problems import term_problems

MODULE = """
from functools import partial
from pipeline.losses.kd_kl import kd_kl
from pipeline.objectives.declarations import DECLARATIONS, LOGITS, Declaration

def scaled(student_logits, teacher_logits, *, mask, counted=None, temperature=1.0, mass=None,
           factor: float = 1.0, sign: int):
    total, count = kd_kl(student_logits, teacher_logits, mask=mask, counted=counted,
                         temperature=temperature, mass=mass)
    return sign * factor * total, count

def without_mask(student_logits, teacher_logits, *, counted=None, temperature=1.0): ...
def of_labels(logits, *, mask, counted, temperature, mass): ...

def halved(progress):
    return 0.5

def hotter(student_logits, teacher_logits, *, mask, counted=None, temperature, by: float = 1.0):
    return mask.any(dim=-1).double() * by * temperature

declared = Declaration(DECLARATIONS["kd_ce"].code, (LOGITS,), options=DECLARATIONS["kd_ce"].options)
"""


@pytest.fixture(autouse=True)
def _module(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "modules", {**sys.modules})
    (tmp_path / "mine.py").write_text(MODULE)


SOFT = {"loss": "kd_kl", "from": "bert", "temperature": 2.0, "weight": 0.5}
OWN = {**SOFT, "loss": "mine:scaled", "factor": 3, "sign": 1}


def test_a_function_compares_logits_as_the_built_in_does(make_reading):
    outputs, batch = make_reading()
    assert term_problems(OWN) == []
    assert needs([OWN]) == needs([SOFT])
    assert options_of(OWN)["factor"] == 3.0
    own, built_in = build_objective([OWN]), build_objective([SOFT])
    assert own.terms[0].name == "scaled"
    loss, measured = own(outputs, batch)
    expected, _ = built_in(outputs, batch)
    torch.testing.assert_close(loss, 3 * expected)
    assert list(measured) == ["scaled"]


def test_a_declaration_stands_for_a_term(make_reading):
    outputs, batch = make_reading()
    loss, _ = build_objective([{**SOFT, "loss": "mine:declared"}])(outputs, batch)
    expected, _ = build_objective([{**SOFT, "loss": "kd_ce"}])(outputs, batch)
    torch.testing.assert_close(loss, expected)


def test_schedules_of_ones_own(make_reading):
    outputs, batch = make_reading()
    assert term_problems({**SOFT, "weight_schedule": "mine:halved"}) == []
    half, _ = build_objective([{**SOFT, "weight_schedule": "mine:halved"}])(outputs, batch)
    whole, _ = build_objective([SOFT])(outputs, batch)
    torch.testing.assert_close(half, whole / 2)
    hotter = {
        "temperature_schedule": {"kind": "mine:hotter", "by": 2.0},
        "scale_by_temperature_squared": False,
    }
    assert term_problems({**SOFT, **hotter}) == []
    found, _ = build_objective([{**SOFT, **hotter}])(outputs, batch)
    plain = {**SOFT, "temperature": 4.0, "scale_by_temperature_squared": False}
    expected, _ = build_objective([plain])(outputs, batch)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({**OWN, "factor": "x"}, "factor: expected float; got 'x'"),
        ({**OWN, "factro": 1.0}, "factro: .*did you mean 'factor'"),
        ({**OWN, "temperature": -1}, "temperature: expected a finite number above 0"),
        ({"loss": "mine:scaled", "sign": 1}, "from: expected the alias of a target set"),
        ({"loss": "mine:scaled", "from": "bert"}, "sign: expected int: loss 'mine:scaled' has no default"),
        ({"loss": "mine:scalde"}, "'mine:scalde': expected an attribute of .*did you mean 'scaled'"),
        ({"loss": "mien:scaled"}, "'mien:scaled': expected a module .*no module 'mien'"),
        ({**SOFT, "weight_schedule": "mine:halve"}, "weight_schedule: expected one of .*or module:attribute"),
        ({**SOFT, "temperature_schedule": {"kind": "mine:hotter", "bye": 1.0}}, "temperature_schedule: "),
        ({"loss": "mine:without_mask"}, "mine:without_mask: .*no keyword-only argument mask, mass"),
        (
            {"loss": "mine:of_labels"},
            "mine:of_labels: .*must take by position student_logits",
        ),
        ({"loss": "mine:SCALED"}, "'mine:SCALED': .*got no 'SCALED'"),
    ],
)
def test_one_problem_one_sentence(wrong, message):
    (problem,) = term_problems(wrong)
    assert re.match(message, problem), problem
