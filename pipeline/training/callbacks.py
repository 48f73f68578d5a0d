"""Callbacks and loggers that a training section names: transformers' own, and classes of one's own.

Naming and checking need no torch; `built` and `loggers` do.
"""

import importlib.util
import inspect
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import ParamsError
from pipeline.registry import Table, did_you_mean

CALLBACKS = Table("callback", {"printer": "transformers:PrinterCallback"}, arguments=())

# The loggers, each with the package that it needs.
LOGGERS = {"dvclive": "dvclive", "tensorboard": "tensorboard", "wandb": "wandb"}

Entry = str | Mapping[str, Any]


def callback_problems(entries: Sequence[Any]) -> Iterator[str]:
    """What is wrong with a list of callbacks; each is a name, or `{callback: name}` with its options."""
    for place, entry in enumerate(entries):
        where = f"callbacks.{place}"
        name, options = _parts(entry)
        if name is None:
            yield f"{where}: expected a name, module:attribute, or {{callback: name, ...}}; got {entry!r}"
            continue
        try:
            inspect.signature(CALLBACKS.load(name)).bind(**options)
        except ParamsError as error:
            yield f"{where}: {error}"
        except TypeError as error:
            yield f"{where}: expected what {name!r} can be called with; {error}"


def built(entries: Sequence[Entry]) -> list[Any]:
    """The callbacks of a checked list.

    Raises:
        ParamsError: One is no `TrainerCallback`.
    """
    from transformers import TrainerCallback

    callbacks = []
    for entry in entries:
        name, options = _parts(entry)
        callback = CALLBACKS.load(str(name))(**options)
        if not isinstance(callback, TrainerCallback):
            raise ParamsError(
                f"callback {name!r}",
                expected="a transformers.TrainerCallback",
                got=type(callback).__name__,
                remedy="derive it from TrainerCallback",
            )
        callbacks.append(callback)
    return callbacks


def logger_problems(report_to: str | Sequence[str]) -> Iterator[str]:
    """What is wrong with `report_to`, packages that are not installed included."""
    for name in _names(report_to):
        if name not in LOGGERS:
            yield f"report_to: unknown logger {name!r}; {did_you_mean(name, [*LOGGERS, 'none'])}"
        elif importlib.util.find_spec(LOGGERS[name]) is None:
            yield (
                f"report_to: expected an installed logger; got {name!r} without package {LOGGERS[name]!r}; "
                f"pip install -c constraints.txt -e '.[{name}]'"
            )


def loggers(report_to: str | Sequence[str], folder: Path) -> list[Any]:
    """Transformers' callbacks for the named loggers. For one process alone: they open their files here.

    Args:
        report_to: Names, "none" or several.
        folder: Where those that keep files keep them. Weights & Biases has its own places.
    """
    return [_LOGGERS[name](folder / name) for name in _names(report_to)]


def _tensorboard(folder: Path) -> Any:
    from transformers.integrations.integration_utils import TensorBoardCallback

    callback = TensorBoardCallback()  # type: ignore[no-untyped-call]
    callback.logging_dir = str(folder)
    return callback


def _dvclive(folder: Path) -> Any:
    from dvclive.live import Live
    from transformers.integrations.integration_utils import DVCLiveCallback

    # By itself it would write into the pipeline's dvc.yaml and make an experiment of every training.
    return DVCLiveCallback(Live(str(folder), dvcyaml=None, report=None, save_dvc_exp=False, resume=True))


def _wandb(folder: Path) -> Any:
    from transformers.integrations.integration_utils import WandbCallback

    return WandbCallback()  # type: ignore[no-untyped-call]


_LOGGERS = {"dvclive": _dvclive, "tensorboard": _tensorboard, "wandb": _wandb}


def _names(report_to: str | Sequence[str]) -> list[str]:
    names = [report_to] if isinstance(report_to, str) else [*report_to]
    return [name for name in names if name != "none"]


def _parts(entry: Any) -> tuple[str | None, dict[str, Any]]:
    """A callback's name, None where the entry has none, and its options."""
    if isinstance(entry, str):
        return entry, {}
    if isinstance(entry, Mapping) and isinstance(entry.get("callback"), str):
        return entry["callback"], {key: value for key, value in entry.items() if key != "callback"}
    return None, {}
