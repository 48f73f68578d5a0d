"""The best weights of a run so far, beside its checkpoints, so that they are found again after a kill.

They lie in `best-<step>`. A run that goes on from a checkpoint knows the bests up to its step, and finds the
later ones again.
"""

import re
import shutil
from pathlib import Path

from safetensors.torch import load_model, save_model
from torch import nn

from pipeline.files import new_folder
from pipeline.training import checkpoints

_NAME = re.compile(r"best-(\d+)")
_WEIGHTS = "model.safetensors"


def save(run: Path, step: int, model: nn.Module) -> None:
    """Keep the model's weights as the best; of older ones, those that the newest checkpoint goes on with."""
    with new_folder(run / f"best-{step}") as folder:
        save_model(model, str(folder / _WEIGHTS))
    _drop_old(run)


def newest(run: Path) -> int | None:
    """The step of the best weights, None where there are none."""
    return max(_steps(run), default=None)


def load(run: Path, step: int, model: nn.Module) -> None:
    """Give the model the weights that were the best at `step`."""
    load_model(model, run / f"best-{step}" / _WEIGHTS)


def forget_after(run: Path, step: int) -> None:
    """Delete what was found after `step`, from which a run goes on."""
    for later in [known for known in _steps(run) if known > step]:
        shutil.rmtree(run / f"best-{later}")


def _drop_old(run: Path) -> None:
    checkpoint = checkpoints.newest(run)
    resumed = int(checkpoint.name.split("-")[1]) if checkpoint else 0
    steps = _steps(run)
    known = max((step for step in steps if step <= resumed), default=None)
    for step in steps - {known, max(steps)}:
        shutil.rmtree(run / f"best-{step}")


def _steps(run: Path) -> set[int]:
    return {int(match[1]) for path in run.glob("best-*") if (match := _NAME.fullmatch(path.name))}
