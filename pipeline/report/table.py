"""The report's tables: what stands in each cell, and the tables as Markdown."""

import itertools
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.report.scores import main_score, parts_of, score_names, title

NOT_AVAILABLE = "n/a"

_COSTS = ("parameters", "MB", "ms a row", "rows/s")


@dataclass(frozen=True)
class Table:
    """A titled table of text; its first columns are aligned to the left, the others to the right."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    num_left: int = 1


def tables(summary: Mapping[str, Any]) -> list[Table]:
    """One table an evaluation set, teachers first; scores by question word; what could not be scored."""
    readers = readers_of(summary)
    sets = list(dict.fromkeys(key for reader in readers.values() for key in reader["sets"]))
    made = [
        Table(
            key,
            _header(_results(readers, key), names),
            tuple(_row(name, readers[name], key, names) for name in readers if key in readers[name]["sets"]),
        )
        for key in sets
        for names in [_score_names(readers, key)]
    ]
    made += [_in_parts(readers, key, parts) for key in sets if (parts := rows_of_parts(readers, key))]
    if summary["missing"]:
        made.append(Table("Not scored", ("reader", "reason"), tuple(summary["missing"].items()), num_left=2))
    return made


def readers_of(summary: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """All that were scored: teachers, students, ensembles."""
    return {**summary["teachers"], **summary["students"], **summary["ensembles"]}


def markdown(made: Sequence[Table]) -> str:
    """The tables as aligned Markdown."""
    return "\n".join(_markdown(table) for table in made)


def speeds(measured: Mapping[str, Mapping[str, Any]]) -> Table:
    """Size and speed of readers that were measured together."""
    return Table(
        "Size and speed",
        ("reader", *_COSTS),
        tuple((name, *_costs(reader)) for name, reader in measured.items()),
    )


def rows_of_parts(readers: Mapping[str, Mapping[str, Any]], key: str) -> dict[str, int]:
    """The parts, such as question words, in which an evaluation set is scored, with their numbers of rows."""
    held = (parts_of(reader["sets"].get(key, {})) for reader in readers.values())
    return {part: scores["rows"] for part, scores in next(filter(None, held), {}).items()}


def _in_parts(readers: Mapping[str, Mapping[str, Any]], key: str, parts: Mapping[str, int]) -> Table:
    return Table(
        f"{key}: EM/F1 by question word",
        ("reader", *(f"{part} ({rows:,})" for part, rows in parts.items())),
        tuple(
            (name, *(_pair(parts_of(reader["sets"][key]).get(part)) for part in parts))
            for name, reader in readers.items()
            if key in reader["sets"]
        ),
    )


def _pair(scores: Mapping[str, float] | None) -> str:
    return NOT_AVAILABLE if scores is None else f"{scores['em']:.1f}/{scores['f1']:.1f}"


def _results(readers: Mapping[str, Mapping[str, Any]], key: str) -> Mapping[str, Any]:
    """The results of the first reader of a set: which scores there are is the set's task."""
    results: Mapping[str, Any] = next(
        reader["sets"][key] for reader in readers.values() if key in reader["sets"]
    )
    return results


def _score_names(readers: Mapping[str, Mapping[str, Any]], key: str) -> list[str]:
    """The scores of a set, as its readers have them: vectors have others than classifiers."""
    found = (score_names(reader["sets"][key]) for reader in readers.values() if key in reader["sets"])
    return list(dict.fromkeys(itertools.chain.from_iterable(found)))


def _header(results: Mapping[str, Any], names: Sequence[str]) -> tuple[str, ...]:
    main = title(main_score(results))
    return (
        "reader",
        *map(title, names),
        f"gold-only {main}",
        f"teacher {main}",
        "gap closed",
        *_COSTS,
    )


def _row(name: str, reader: Mapping[str, Any], key: str, names: Sequence[str]) -> tuple[str, ...]:
    scores = reader["sets"][key]
    compared = reader.get("compared", {}).get(key)
    return (
        name,
        *(f"{scores[score]:.1f}" if score in scores else "" for score in names),
        *(_comparison(compared, main_score(scores)) if compared else ("", "", "")),
        *_costs(reader),
    )


def _costs(reader: Mapping[str, Any]) -> tuple[str, ...]:
    size, speed = reader["size"], reader["speed"]
    return (
        _count(size["parameters"]),
        f"{size['mb']:.1f}",
        f"{speed['latency_ms']:.1f}",
        _rate(speed["rows_per_second"]),
    )


def _comparison(compared: Mapping[str, Any], main: str) -> tuple[str, str, str]:
    gold_only, teacher, closed = compared["gold_only"], compared["teacher"], compared["gap_closed"].get(main)
    return (
        NOT_AVAILABLE if gold_only is None else f"{gold_only.get(main, 0.0):.1f}",
        NOT_AVAILABLE if teacher is None else f"{teacher.get(main, 0.0):.1f}",
        NOT_AVAILABLE if closed is None else f"{100 * closed:.0f} %",
    )


def _count(parameters: int) -> str:
    return f"{parameters / 1e6:.2f} M" if parameters >= 1e5 else f"{parameters:,}"


def _rate(rows_per_second: float) -> str:
    return f"{rows_per_second:,.0f}" if rows_per_second >= 10 else f"{rows_per_second:.1f}"


def _markdown(table: Table) -> str:
    lines = [table.header, *table.rows]
    widths = [max(_width(line[column]) for line in lines) for column in range(len(table.header))]
    rule = [f"{'-' * width}{'-' if column < table.num_left else ':'}" for column, width in enumerate(widths)]
    body = [_aligned(line, widths, table.num_left) for line in lines]
    text = "\n".join([body[0], f"|{'|'.join(f'-{part}' for part in rule)}|", *body[1:]])
    return f"## {table.title}\n\n{text}\n"


def _aligned(line: Sequence[str], widths: Sequence[int], num_left: int) -> str:
    cells = []
    for column, (cell, width) in enumerate(zip(line, widths, strict=True)):
        space = " " * (width - _width(cell))
        cells.append(cell + space if column < num_left else space + cell)
    return f"| {' | '.join(cells)} |"


def _width(text: str) -> int:
    """Columns of a terminal that `text` takes."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
