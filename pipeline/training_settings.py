"""The settings of transformers' TrainingArguments that params may hold, and what they must be.

Students take more (`pipeline.training.arguments`), teachers fewer, which stands here, for a student's process
imports nothing of `inference`. What decides where files go or how rows are ordered is not among them: the
pipeline decides that. Neither torch nor transformers is imported, so that params are checked in no time.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.registry import did_you_mean


@dataclass(frozen=True)
class Setting:
    """What a value must be: a phrase for messages, and a test."""

    expected: str
    accepts: Callable[[Any], bool]


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def one_of(*names: str) -> Setting:
    """One of a few words."""
    return Setting(f"one of {', '.join(names)}", lambda value: value in names)


FLAG = Setting("true or false", lambda value: isinstance(value, bool))
TEXT = Setting("text", lambda value: isinstance(value, str))
_MAPPING = Setting("a mapping", lambda value: isinstance(value, Mapping))
_WHOLE = Setting("a whole number", _is_whole)
COUNT = Setting("a whole number, at least 1", lambda value: _is_whole(value) and value >= 1)
STEPS = Setting("a number, at least 0", lambda value: is_number(value) and value >= 0)
_POSITIVE = Setting("a number above 0", lambda value: is_number(value) and value > 0)
_SHARE = Setting("a number from 0 to below 1", lambda value: is_number(value) and 0 <= value < 1)

# transformers' own, passed on as they are.
TRANSFORMERS = {
    "activation_checkpointing": FLAG,
    "adam_beta1": _SHARE,
    "adam_beta2": _SHARE,
    "adam_epsilon": _POSITIVE,
    "bf16": FLAG,
    "dataloader_pin_memory": FLAG,
    "ddp_find_unused_parameters": FLAG,
    "eval_delay": STEPS,
    "eval_steps": COUNT,
    "eval_strategy": one_of("no", "steps", "epoch"),
    "fp16": FLAG,
    "full_determinism": FLAG,
    "gradient_accumulation_steps": COUNT,
    "greater_is_better": FLAG,
    "learning_rate": _POSITIVE,
    "logging_first_step": FLAG,
    "logging_steps": _POSITIVE,
    "logging_strategy": one_of("no", "steps", "epoch"),
    "lr_scheduler_kwargs": _MAPPING,
    "lr_scheduler_type": one_of(
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
    "max_grad_norm": STEPS,
    "max_steps": COUNT,
    "metric_for_best_model": TEXT,
    "num_train_epochs": _POSITIVE,
    "optim": TEXT,
    "optim_args": TEXT,
    "per_device_train_batch_size": COUNT,
    "run_name": TEXT,
    "save_steps": _POSITIVE,
    "save_strategy": one_of("no", "steps", "epoch"),
    "save_total_limit": COUNT,
    "seed": _WHOLE,
    "tf32": FLAG,
    "torch_compile": FLAG,
    "torch_compile_backend": TEXT,
    "torch_compile_mode": TEXT,
    "use_cpu": FLAG,
    "warmup_steps": STEPS,
    "weight_decay": STEPS,
}


# A teacher is saved after each epoch, scored when it is finished, and its seed is an argument of its own.
_DECIDED_FOR_TEACHERS = {
    "eval_delay",
    "eval_steps",
    "eval_strategy",
    "greater_is_better",
    "metric_for_best_model",
    "save_steps",
    "save_strategy",
    "save_total_limit",
    "seed",
}

TEACHERS = {name: setting for name, setting in TRANSFORMERS.items() if name not in _DECIDED_FOR_TEACHERS}


def setting_problems(training: Mapping[str, Any], settings: Mapping[str, Setting]) -> list[str]:
    """What is wrong with a section that may hold `settings`, one sentence each."""
    problems = []
    for name, value in training.items():
        if name not in settings:
            problems.append(f"unknown training setting {name!r}; {did_you_mean(name, settings)}")
        elif not settings[name].accepts(value):
            problems.append(f"{name}: expected {settings[name].expected}; got {value!r}")
    if training.get("bf16") and training.get("fp16"):
        problems.append("bf16 and fp16: expected one of them; got both")
    return problems


def teacher_problems(training: Mapping[str, Any]) -> list[str]:
    """What is wrong with the settings of a teacher's training, one sentence each."""
    return setting_problems(training, TEACHERS)
