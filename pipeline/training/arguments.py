"""Which settings a student's training section may hold: names of transformers' TrainingArguments, and ours.

Neither torch nor transformers is imported, so that params are checked in no time; callbacks of one's own are.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.training.callbacks import callback_problems, logger_problems
from pipeline.training_settings import (
    COUNT,
    FLAG,
    STEPS,
    TEXT,
    TRANSFORMERS,
    Setting,
    is_number,
    one_of,
    setting_problems,
)


def _are_names(value: Any) -> bool:
    names = value if isinstance(value, list) else [value]
    return all(isinstance(name, str) for name in names)


# Ours: the decay of the averaged weights, the shape of the rise over `warmup_steps`, and what is watched and
# told while a student trains. Some have names of transformers, which would look for files of its own.
OURS = {
    "callbacks": Setting("a list", lambda value: isinstance(value, list)),
    "early_stopping_patience": COUNT,
    "early_stopping_threshold": STEPS,
    "ema_decay": Setting("a number between 0 and 1", lambda value: is_number(value) and 0 < value < 1),
    "eval_set": TEXT,
    "load_best_model_at_end": FLAG,
    "report_to": Setting("the name of a logger, or a list of names", _are_names),
    "warmup": one_of("linear", "logarithmic"),
}

SETTINGS = TRANSFORMERS | OURS


def training_problems(training: Mapping[str, Any]) -> list[str]:
    """What is wrong with a student's training section, one sentence each."""
    problems = setting_problems(training, SETTINGS)
    if training.get("warmup") == "logarithmic" and not training.get("warmup_steps"):
        problems.append("warmup: 'logarithmic' needs warmup_steps, over which the learning rate rises")
    if not problems:
        problems += [
            *callback_problems(training.get("callbacks", [])),
            *logger_problems(training.get("report_to", [])),
            *_watching_problems(training),
        ]
    return problems


# What only means something where the student is scored while it trains.
_WATCHING = (
    "early_stopping_patience",
    "early_stopping_threshold",
    "eval_delay",
    "eval_steps",
    "eval_strategy",
    "greater_is_better",
    "load_best_model_at_end",
    "metric_for_best_model",
)


def _watching_problems(training: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with how a student is scored while it trains, and with what follows from the scores."""
    if "eval_set" not in training:
        for name in _WATCHING:
            if name in training:
                yield f"{name}: expected an eval_set beside it, the <dataset>.<split> to score; got none"
        return
    if training.get("eval_strategy") == "no":
        yield "eval_set: expected an eval_strategy that uses it, 'steps' or 'epoch'; got 'no'"
    if "early_stopping_threshold" in training and "early_stopping_patience" not in training:
        yield "early_stopping_threshold: expected early_stopping_patience beside it; got none"
    for name in ("early_stopping_patience", "load_best_model_at_end"):
        if training.get(name) and "metric_for_best_model" not in training:
            yield f"{name}: expected metric_for_best_model beside it, such as f1; got none"
