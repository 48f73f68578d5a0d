"""Which settings a teacher's training may have: those of transformers that are not decided for all teachers.

No torch is imported, so that params are checked in no time.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.training_settings import TRANSFORMERS, setting_problems

# A teacher is saved after each epoch, scored when it is finished, and its seed is an argument of its own.
_DECIDED = {
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

SETTINGS = {name: setting for name, setting in TRANSFORMERS.items() if name not in _DECIDED}


def training_problems(training: Mapping[str, Any]) -> list[str]:
    """What is wrong with the settings of a teacher's training, one sentence each."""
    return setting_problems(training, SETTINGS)
