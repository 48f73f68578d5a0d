"""Stages, named on the command line without importing what they need."""

import importlib
from collections.abc import Callable
from pathlib import Path


def lazy_stage(module: str, summary: str) -> Callable[[str, Path], None]:
    """The `run` of `stages.<module>`, imported when it is called; `summary` is its help."""

    def run(name: str, params: Path) -> None:
        importlib.import_module(f"stages.{module}").run(name, params)

    run.__doc__ = summary
    return run
