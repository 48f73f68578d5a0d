"""Size and speed of students and teachers, measured together."""

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import DataError
from pipeline.evaluation.evaluate import Evaluation
from pipeline.progress import track
from pipeline.report.table import markdown, speeds
from stages.folders import PARAMS
from stages.opened import opened
from stages.params import load
from stages.sections import Params

_MEDIANS = ("latency_ms", "rows_per_second")


def speed(names: Sequence[str], rounds: int, params: Path = PARAMS, *, as_json: bool = False) -> str:
    """The text to print: a table, or JSON.

    Every round measures each reader once, so that a machine that slows down slows all alike; the figures are
    medians over the rounds.

    Args:
        names: Students, teachers and ensembles of params; all that have an evaluation set if empty.
        rounds: How often each is measured.
        params: The params file.
        as_json: JSON instead.

    Raises:
        PipelineError: A name is unknown, or one of them has no model, no inputs or no rows to read yet.
    """
    settings = load(params, models=True)
    readers = {name: _opened(settings, name) for name in names or _evaluated(settings)}
    counts = settings.evaluation.model_dump(include={"latency_rows", "speed_rows"})
    measured: dict[str, list[dict[str, Any]]] = {name: [] for name in readers}
    with track(rounds * len(readers), "speed") as advance:
        for _ in range(rounds):
            for name, reader in readers.items():
                measured[name].append(reader.speed(**counts))
                advance(1)
    results = {
        name: {
            "size": readers[name].size(),
            "speed": runs[0] | {key: statistics.median(run[key] for run in runs) for key in _MEDIANS},
        }
        for name, runs in measured.items()
    }
    return json.dumps(results, indent=2) if as_json else markdown([speeds(results)])


def _evaluated(settings: Params) -> list[str]:
    readers: dict[str, Any] = {**settings.teachers, **settings.students, **settings.ensembles}
    return [name for name, reader in readers.items() if reader.evaluate]


def _opened(settings: Params, name: str) -> Evaluation:
    reader = opened(settings, name)
    if not reader.every_row:
        raise DataError(
            f"evaluation of {name!r}",
            expected="rows to read",
            got="none",
            remedy=f"name an evaluation set of {name!r} in params",
        )
    return reader
