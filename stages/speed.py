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
from stages.folders import INPUTS, PARAMS
from stages.model_folders import model_folder
from stages.params import load
from stages.sections import Params, Student, Teacher

_MEDIANS = ("latency_ms", "rows_per_second")


def speed(names: Sequence[str], rounds: int, params: Path = PARAMS, *, as_json: bool = False) -> str:
    """The text to print: a table, or JSON.

    Every round measures each reader once, so that a machine that slows down slows all alike; the figures are
    medians over the rounds.

    Args:
        names: Students and teachers of params; all that have an evaluation set, teachers first, if empty.
        rounds: How often each is measured.
        params: The params file.
        as_json: JSON instead.

    Raises:
        PipelineError: A name is unknown, or one of them has no model, no inputs or no rows to read yet.
    """
    settings = load(params, models=True)
    opened = {name: _opened(settings, name) for name in names or _evaluated(settings)}
    counts = settings.evaluation.model_dump(include={"latency_rows", "speed_rows"})
    measured: dict[str, list[dict[str, Any]]] = {name: [] for name in opened}
    with track(rounds * len(opened), "speed") as advance:
        for _ in range(rounds):
            for name, reader in opened.items():
                measured[name].append(reader.speed(**counts))
                advance(1)
    results = {
        name: {
            "size": opened[name].size(),
            "speed": runs[0] | {key: statistics.median(run[key] for run in runs) for key in _MEDIANS},
        }
        for name, runs in measured.items()
    }
    return json.dumps(results, indent=2) if as_json else markdown([speeds(results)])


def _evaluated(settings: Params) -> list[str]:
    readers: dict[str, Teacher | Student] = {**settings.teachers, **settings.students}
    return [name for name, reader in readers.items() if reader.evaluate]


def _opened(settings: Params, name: str) -> Evaluation:
    _, model = model_folder(settings, name)
    inputs = INPUTS / name / "evaluate"
    limits = settings.evaluation.model_dump(include={"max_answer_tokens", "null_score_diff_threshold"})
    opened = Evaluation.open(model, inputs, **limits)
    if not opened.every_row:
        raise DataError(
            inputs,
            expected="rows to read",
            got="none",
            remedy=f"name an evaluation set of {name!r} in params",
        )
    return opened
