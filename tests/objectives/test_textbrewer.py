"""Configurations of TextBrewer, as terms."""

import pytest

from pipeline.errors import ParamsError
from pipeline.objectives.objective import build_objective
from pipeline.objectives.textbrewer import textbrewer_terms


def terms(config):
    found = textbrewer_terms(config, alias="teacher", student="span")
    assert len(build_objective(found).terms) == len(found)
    return found


def test_its_defaults():
    assert terms({}) == [
        {
            "loss": "kd_ce",
            "from": "teacher",
            "student": "span",
            "weight": 1,
            "temperature": 4,
            "scale_by_temperature_squared": False,
            "reduction": "sum",
        }
    ]


def test_everything_that_it_can_say():
    gold, soft, hidden, nst, fsp, attention = terms(
        {
            "temperature": 8,
            "temperature_scheduler": ["flsw", 1, 2],
            "hard_label_weight": 0.5,
            "hard_label_weight_scheduler": "linear_growth",
            "kd_loss_type": "mse",
            "kd_loss_weight": 2,
            "kd_loss_weight_scheduler": "linear_decay",
            "probability_shift": True,
            "is_caching_logits": True,
            "intermediate_matches": [
                {
                    "layer_T": 4,
                    "layer_S": 1,
                    "feature": "hidden",
                    "loss": "hidden_mse",
                    "weight": 1,
                    "proj": ["linear", 312, 768, {"lr": 1e-3}],
                },
                {"layer_T": [3, 3], "layer_S": [1, 1], "feature": "hidden", "loss": "mmd", "weight": 1},
                {
                    "layer_T": [0, 2],
                    "layer_S": [0, 1],
                    "feature": "hidden",
                    "loss": "gram",
                    "weight": 1,
                    "proj": ["relu", 384, 768],
                },
                {
                    "layer_T": 3,
                    "layer_S": 1,
                    "feature": "attention",
                    "loss": "attention_ce_mean",
                    "weight": 3,
                },
            ],
        }
    )
    assert gold["weight_schedule"] == "linear_growth"
    assert gold["reduction"] == soft["reduction"] == "sum"
    assert (soft["loss"], soft["weight_schedule"], soft["probability_shift"]) == (
        "kd_mse",
        "linear_decay",
        True,
    )
    assert soft["temperature_schedule"] == {"kind": "flsw", "beta": 1, "gamma": 2}
    assert hidden["projection"] == {"kind": "linear", "in": 312, "out": 768, "learning_rate": 1e-3}
    assert (nst["loss"], nst["teacher_layer"], nst["student_layer"]) == ("nst", [3, 3], [1, 1])
    assert (fsp["loss"], fsp["projection"]) == ("fsp", {"kind": "relu", "in": 384, "out": 768})
    assert attention == {
        "loss": "attention_ce_mean",
        "from": "teacher",
        "teacher_layer": 3,
        "student_layer": 1,
        "weight": 3,
    }


def test_all_that_is_wrong_is_said_at_once():
    config = {
        "temperatures": 8,
        "kd_loss_type": "kl_",
        "intermediate_matches": [{"layer_T": 1}, {"layer_T": 1, "layer_S": -1, "loss": "hidden_msee"}],
    }
    wanted = (
        r"temperatures: unknown; did you mean 'temp.*matches\.0: expected.*kd_kl_: .*matches\.1: .*hidden_mse"
    )
    with pytest.raises(ParamsError, match=wanted):
        textbrewer_terms(config, alias="teacher", student="span")
    with pytest.raises(ParamsError, match="nothing would be learnt"):
        textbrewer_terms({"kd_loss_weight": 0}, alias="teacher", student="span")
    with pytest.raises(ParamsError, match="expected a mapping; got list"):
        textbrewer_terms([], alias="teacher", student="span")
