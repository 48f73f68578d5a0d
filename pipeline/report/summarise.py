"""All scores in one place: summary.json, a Markdown table, points to plot and an HTML page."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import DataError
from pipeline.files import read_json, write_json, write_text
from pipeline.report.arms import Arm
from pipeline.report.comparison import compare
from pipeline.report.page import page
from pipeline.report.plots import Curve, as_csv, points, speed_svg, training_svg, words_svg
from pipeline.report.table import markdown, tables

METRICS_FILE = "metrics.json"
TRAINING_LOG = "training_log.jsonl"

_REPORTED = ("sets", "size", "speed")


def summarise(
    scores: Path,
    out: Path,
    *,
    teachers: Sequence[str],
    students: Mapping[str, Arm],
    ensembles: Sequence[str] = (),
) -> dict[str, Any]:
    """Report on the named readers; one without readable scores is listed as missing, with the reason.

    Args:
        scores: Holds a folder of scores a reader.
        out: Will hold summary.json, summary.md, plots.csv and index.html.
        teachers: The teachers to report on, in order.
        students: The students to report on, in order, each with whom it is compared.
        ensembles: The ensembles to report on, in order.

    Returns:
        What summary.json holds.
    """
    read: dict[str, dict[str, Any]] = {}
    missing: dict[str, str] = {}
    for name in [*teachers, *students, *ensembles]:
        try:
            read[name] = _metrics(scores / name)
        except DataError as error:
            missing[name] = f"{error.where}: {error.got}; {error.remedy}"
    sets = {name: metrics["sets"] for name, metrics in read.items()}
    summary = {
        "teachers": {name: read[name] for name in teachers if name in read},
        "students": {
            name: {**read[name], "compared": compare(name, arm, sets)}
            for name, arm in students.items()
            if name in read
        },
        "ensembles": {name: read[name] for name in ensembles if name in read},
        "missing": missing,
    }
    curves = {name: log for name in read if (log := _log(scores / name / TRAINING_LOG))}
    _write(out, summary, curves)
    return summary


def _write(out: Path, summary: Mapping[str, Any], curves: Mapping[str, Curve]) -> None:
    made, found = tables(summary), points(summary)
    drawings = [("F1 against speed", speed_svg(found))] if found else []
    drawings += [("F1 by question word", drawn)] if (drawn := words_svg(summary)) else []
    drawings += [("Training loss", training_svg(curves))] if curves else []
    write_json(out / "summary.json", summary)
    write_text(out / "summary.md", markdown(made))
    write_text(out / "plots.csv", as_csv(found))
    write_text(out / "index.html", page(made, drawings))


def _metrics(folder: Path) -> dict[str, Any]:
    path = folder / METRICS_FILE
    remedy = f"run: coldbrew evaluate {folder.name}"
    if not path.is_file():
        raise DataError(path, expected="scores", got="no such file", remedy=remedy)
    metrics = read_json(path, what="scores")
    if not isinstance(metrics, Mapping) or not all(key in metrics for key in _REPORTED):
        raise DataError(
            path,
            expected=f"scores with {', '.join(_REPORTED)}",
            got="other JSON",
            remedy=remedy,
        )
    return {key: metrics[key] for key in _REPORTED}


def _log(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    entries = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return [entry for entry in entries if "loss" in entry]
