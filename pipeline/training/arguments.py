"""Which settings a training section may hold: names of transformers' TrainingArguments, and ours.

What decides where files go or how rows are ordered is not among them: the pipeline decides that. Neither
torch nor transformers is imported, so that params are checked in no time; callbacks of one's own are.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.registry import did_you_mean
from pipeline.training.callbacks import callback_problems, logger_problems


@dataclass(frozen=True)
class Setting:
    """What a value must be: a phrase for messages, and a test."""

    expected: str
    accepts: Callable[[Any], bool]


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _are_names(value: Any) -> bool:
    names = value if isinstance(value, list) else [value]
    return all(isinstance(name, str) for name in names)


def _one_of(*names: str) -> Setting:
    return Setting(f"one of {', '.join(names)}", lambda value: value in names)


_FLAG = Setting("true or false", lambda value: isinstance(value, bool))
_TEXT = Setting("text", lambda value: isinstance(value, str))
_MAPPING = Setting("a mapping", lambda value: isinstance(value, Mapping))
_WHOLE = Setting("a whole number", _is_int)
_LIST = Setting("a list", lambda value: isinstance(value, list))
_COUNT = Setting("a whole number, at least 1", lambda value: _is_int(value) and value >= 1)
_STEPS = Setting("a number, at least 0", lambda value: _is_number(value) and value >= 0)
_POSITIVE = Setting("a number above 0", lambda value: _is_number(value) and value > 0)
_SHARE = Setting("a number from 0 to below 1", lambda value: _is_number(value) and 0 <= value < 1)

# transformers' own, passed on as they are.
TRANSFORMERS = {
    "activation_checkpointing": _FLAG,
    "adam_beta1": _SHARE,
    "adam_beta2": _SHARE,
    "adam_epsilon": _POSITIVE,
    "bf16": _FLAG,
    "dataloader_pin_memory": _FLAG,
    "ddp_find_unused_parameters": _FLAG,
    "eval_delay": _STEPS,
    "eval_steps": _COUNT,
    "eval_strategy": _one_of("no", "steps", "epoch"),
    "fp16": _FLAG,
    "full_determinism": _FLAG,
    "gradient_accumulation_steps": _COUNT,
    "greater_is_better": _FLAG,
    "learning_rate": _POSITIVE,
    "logging_first_step": _FLAG,
    "logging_steps": _POSITIVE,
    "logging_strategy": _one_of("no", "steps", "epoch"),
    "lr_scheduler_kwargs": _MAPPING,
    "lr_scheduler_type": _one_of(
        "linear",
        "cosine",
        "cosine_with_restarts",
        "polynomial",
        "constant",
        "constant_with_warmup",
        "inverse_sqrt",
        "cosine_with_min_lr",
        "cosine_warmup_with_min_lr",
        "warmup_stable_decay",
    ),
    "max_grad_norm": _STEPS,
    "max_steps": _COUNT,
    "metric_for_best_model": _TEXT,
    "num_train_epochs": _POSITIVE,
    "optim": _TEXT,
    "optim_args": _TEXT,
    "per_device_train_batch_size": _COUNT,
    "run_name": _TEXT,
    "save_steps": _POSITIVE,
    "save_strategy": _one_of("no", "steps", "epoch"),
    "save_total_limit": _COUNT,
    "seed": _WHOLE,
    "tf32": _FLAG,
    "torch_compile": _FLAG,
    "torch_compile_backend": _TEXT,
    "torch_compile_mode": _TEXT,
    "use_cpu": _FLAG,
    "warmup_steps": _STEPS,
    "weight_decay": _STEPS,
}

# Ours: the decay of the averaged weights, the shape of the rise over `warmup_steps`, and what is watched and
# told while a student trains. Some have names of transformers, which would look for files of its own.
OURS = {
    "callbacks": _LIST,
    "early_stopping_patience": _COUNT,
    "early_stopping_threshold": _STEPS,
    "ema_decay": Setting("a number between 0 and 1", lambda value: _is_number(value) and 0 < value < 1),
    "eval_set": _TEXT,
    "load_best_model_at_end": _FLAG,
    "report_to": Setting("the name of a logger, or a list of names", _are_names),
    "warmup": _one_of("linear", "logarithmic"),
}

SETTINGS = TRANSFORMERS | OURS


def training_problems(training: Mapping[str, Any]) -> list[str]:
    """What is wrong with a training section, one sentence each."""
    problems = []
    for name, value in training.items():
        if name not in SETTINGS:
            problems.append(f"unknown training setting {name!r}; {did_you_mean(name, SETTINGS)}")
        elif not SETTINGS[name].accepts(value):
            problems.append(f"{name}: expected {SETTINGS[name].expected}; got {value!r}")
    if training.get("warmup") == "logarithmic" and not training.get("warmup_steps"):
        problems.append("warmup: 'logarithmic' needs warmup_steps, over which the learning rate rises")
    if training.get("bf16") and training.get("fp16"):
        problems.append("bf16 and fp16: expected one of them; got both")
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
