"""Two readers side by side, row by row, on the sets that both were scored on."""

import json
from dataclasses import asdict
from typing import Any

from pipeline.errors import DataError
from pipeline.files import read_json
from pipeline.progress import track
from pipeline.registry import did_you_mean
from pipeline.report.paired import ERROR, Difference, differences
from pipeline.report.scores import title
from pipeline.report.table import Table, markdown
from pipeline.tasks import SPAN, TASKS
from stages.folders import SCORES


def compare(one: str, other: str, *, as_json: bool = False) -> str:
    """The text to print: a table, or JSON.

    Args:
        one: A student, teacher or ensemble that has been scored.
        other: Another.
        as_json: JSON instead.

    Raises:
        DataError: One of them has no scores, or there is no set whose rows both have a score of.
    """
    own, its = _sets(one), _sets(other)
    shared = [key for key in own if key in its]
    found: dict[str, list[Difference]] = {}
    left_out: dict[str, str] = {}
    with track(len(shared), "compare", unit="sets") as advance:
        for key in shared:
            try:
                task = _same_task(own[key], its[key])
                found[key] = differences(_predictions(one, key), _predictions(other, key), task)
            except DataError as error:
                left_out[key] = str(error)
            advance(1)
    if not found:
        raise DataError(
            f"scores of {one!r} and {other!r}",
            expected="a set whose rows both have a score of",
            got="; ".join(f"{key}: {reason}" for key, reason in left_out.items()) or "no set that both have",
            remedy="name one set in `evaluate` of both, and run coldbrew repro",
        )
    if as_json:
        return json.dumps({key: [asdict(part) for part in parts] for key, parts in found.items()}, indent=2)
    rows = tuple(_row(key, part) for key, parts in found.items() for part in parts)
    header = ("set", "score", "rows", one, other, "difference", "95 %", "p")
    made = [Table(f"{other} against {one}", header, rows, num_left=2)]
    if left_out:
        made.append(Table("Not compared", ("set", "reason"), tuple(left_out.items()), num_left=2))
    return markdown(made)


def _sets(name: str) -> dict[str, Any]:
    path = SCORES / name / "metrics.json"
    if not path.is_file():
        known = [folder.name for folder in SCORES.glob("*") if (folder / "metrics.json").is_file()]
        raise DataError(
            path, expected=f"the scores of {name!r}", got="no such file", remedy=did_you_mean(name, known)
        )
    sets: dict[str, Any] = read_json(path)["sets"]
    return sets


def _same_task(own: dict[str, Any], its: dict[str, Any]) -> str:
    task, other = (scores.get("task", SPAN) for scores in (own, its))
    if TASKS[task].labels != TASKS[other].labels:
        raise DataError(
            "predictions",
            expected="two readers of one task",
            got=f"{task} and {other}",
            remedy="compare readers that were asked the same",
        )
    return str(task)


def _predictions(name: str, key: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_json(SCORES / name / "predictions" / f"{key}.json")
    return rows


def _row(key: str, found: Difference) -> tuple[str, ...]:
    digits = 3 if found.score == ERROR else 1
    low, high = found.interval
    return (
        key,
        title(found.score),
        f"{found.rows:,}",
        f"{found.one:.{digits}f}",
        f"{found.other:.{digits}f}",
        f"{found.difference:+.{digits}f}",
        f"{low:+.{digits}f} to {high:+.{digits}f}",
        f"{found.p_value:.3f}" if found.p_value >= 0.001 else "< 0.001",
    )
