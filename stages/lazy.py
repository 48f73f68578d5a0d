"""Stages, named on the command line without importing what they need."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any


def lazy_stage(module: str, summary: str) -> Callable[..., None]:
    """The `run` of `stages.<module>`, imported when it is called; `summary` is its help."""

    def run(name: str, params: Path, **options: Any) -> None:
        importlib.import_module(f"stages.{module}").run(name, params, **options)

    run.__doc__ = summary
    return run
