import dataclasses
import re
import tomllib
from pathlib import Path

import pytest

from pipeline.training.arguments import training_problems
from pipeline.training.callbacks import LOGGERS
from pipeline.training_settings import TRANSFORMERS

WATCHED = {"eval_set": "cmrc.dev", "eval_strategy": "steps"}


def test_good_settings_have_no_problems():
    training = {
        "num_train_epochs": 3,
        "learning_rate": 1.0e-3,
        "per_device_train_batch_size": 32,
        "gradient_accumulation_steps": 2,
        "bf16": True,
        "max_steps": 10,
        "adam_beta1": 0.8,
        "lr_scheduler_type": "constant_with_warmup",
        "warmup": "logarithmic",
        "warmup_steps": 1000,
        "ema_decay": 0.9999,
        "seed": 3,
    }
    assert training_problems(training) == []


@pytest.mark.parametrize(
    ("training", "text"),
    [
        ({"learning_rat": 1e-3}, "did you mean 'learning_rate'"),
        ({"output_dir": "here"}, "unknown training setting 'output_dir'"),
        ({"ema_deca": 0.9}, "did you mean 'ema_decay'"),
        ({"learning_rate": "1e-3"}, "learning_rate: expected a number above 0; got '1e-3'"),
        ({"num_train_epochs": 0}, "num_train_epochs: expected a number above 0; got 0"),
        ({"per_device_train_batch_size": 2.5}, "expected a whole number, at least 1; got 2.5"),
        ({"max_steps": True}, "max_steps: expected a whole number"),
        ({"bf16": 1}, "bf16: expected true or false; got 1"),
        ({"ema_decay": 1}, "ema_decay: expected a number between 0 and 1"),
        ({"warmup": "log", "warmup_steps": 3}, "warmup: expected one of linear, logarithmic"),
        ({"warmup": "logarithmic"}, "'logarithmic' needs warmup_steps"),
        ({"bf16": True, "fp16": True}, "expected one of them"),
        ({"learning_rate": float("nan")}, "learning_rate: expected a number above 0"),
        ({"eval_steps": 10}, "eval_steps: expected an eval_set beside it, the <dataset>.<split> to score"),
        ({"early_stopping_patience": 2}, "early_stopping_patience: expected an eval_set"),
        (WATCHED | {"eval_strategy": "no"}, "eval_set: expected an eval_strategy that uses it"),
        (WATCHED | {"early_stopping_threshold": 1}, "expected early_stopping_patience beside it; got none"),
        (WATCHED | {"load_best_model_at_end": True}, "expected metric_for_best_model beside it, such as f1"),
        (WATCHED | {"early_stopping_patience": 0}, "expected a whole number, at least 1; got 0"),
        ({"callbacks": "printer"}, "callbacks: expected a list; got 'printer'"),
        ({"callbacks": ["prnter"]}, "callbacks.0: callback 'prnter': .*did you mean 'printer'"),
        ({"report_to": 3}, "report_to: expected the name of a logger, or a list of names; got 3"),
        ({"report_to": "tensorbord"}, "unknown logger 'tensorbord'; did you mean 'tensorboard'"),
    ],
)
def test_each_problem_is_a_sentence(training, text):
    (problem,) = training_problems(training)
    assert re.search(text, problem)


def test_a_logger_that_is_not_installed_is_named_with_what_brings_it(monkeypatch):
    assert training_problems({"report_to": ["dvclive", "none"]}) == []
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (problem,) = training_problems({"report_to": "wandb"})
    assert "got 'wandb' without package 'wandb'; pip install -c constraints.txt -e '.[wandb]'" in problem


def test_loggers_are_extras_of_the_package_or_needed_by_it():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for name, package in LOGGERS.items():
        needed = extras.get(name, project["dependencies"])
        assert any(requirement.startswith(package) for requirement in needed)


def test_scores_while_training():
    settings = {"metric_for_best_model": "f1", "load_best_model_at_end": True, "early_stopping_patience": 3}
    assert training_problems(WATCHED | settings | {"early_stopping_threshold": 0.1, "eval_steps": 10}) == []


def test_all_problems_at_once():
    assert len(training_problems({"learning_rat": 1, "bf16": 3, "max_steps": 0})) == 3


def test_names_are_those_of_transformers():
    from transformers import TrainingArguments
    from transformers.trainer_utils import SchedulerType

    known = {field.name for field in dataclasses.fields(TrainingArguments)}
    assert set(TRANSFORMERS) <= known
    for name in SchedulerType:
        if not TRANSFORMERS["lr_scheduler_type"].accepts(name.value):
            assert name.value in {"reduce_lr_on_plateau", "greedy"}
