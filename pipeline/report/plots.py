"""The report's plots: F1 against speed, for DVC and as SVG, F1 by question word, and training curves."""

import csv
import io
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from pipeline.report.scores import parts_of
from pipeline.report.table import readers_of, rows_of_parts

# How each is marked.
ROLES = {"teacher": "s", "student": "o", "ensemble": "^"}

POINT_FIELDS = ("set", "reader", "role", "rows_per_second", "f1")

Curve = Sequence[Mapping[str, Any]]
"""Entries of a training log, in order."""


def points(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One point for each reader and evaluation set whose task has an F1."""
    return [
        {
            "set": key,
            "reader": name,
            "role": role,
            "rows_per_second": reader["speed"]["rows_per_second"],
            "f1": scores["f1"],
        }
        for role in ROLES
        for name, reader in summary[f"{role}s"].items()
        for key, scores in reader["sets"].items()
        if "f1" in scores
    ]


def as_csv(found: Sequence[Mapping[str, Any]]) -> str:
    """The points as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, POINT_FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return text.getvalue()


def speed_svg(found: Sequence[Mapping[str, Any]]) -> str:
    """F1 against rows a second, one panel an evaluation set."""
    sets = list(dict.fromkeys(point["set"] for point in found))
    figure = Figure(figsize=(7, 4 * len(sets)), layout="constrained")
    for number, key in enumerate(sets):
        axes = figure.add_subplot(len(sets), 1, number + 1)
        for role, mark in ROLES.items():
            own = [point for point in found if point["set"] == key and point["role"] == role]
            speeds, f1 = [point["rows_per_second"] for point in own], [point["f1"] for point in own]
            if own:
                axes.scatter(speeds, f1, marker=mark, label=role)
            for point in own:
                axes.annotate(
                    point["reader"],
                    (point["rows_per_second"], point["f1"]),
                    xytext=(5, 4),
                    textcoords="offset points",
                )
        axes.set(title=key, xlabel="rows a second", ylabel="F1", xscale="log")
        _plain_numbers(axes.xaxis)
        axes.margins(0.2)
        axes.legend()
    return _svg(figure)


def words_svg(summary: Mapping[str, Any]) -> str:
    """F1 by question word (Hu et al. 2018, figure 4), a panel an evaluation set; empty without any."""
    readers = readers_of(summary)
    sets = dict.fromkeys(key for reader in readers.values() for key in reader["sets"])
    panels = {key: words for key in sets if (words := rows_of_parts(readers, key))}
    if not panels:
        return ""
    figure = Figure(figsize=(9, 3.5 * len(panels)), layout="constrained")
    for number, (key, words) in enumerate(panels.items()):
        axes = figure.add_subplot(len(panels), 1, number + 1)
        own = {name: reader["sets"][key] for name, reader in readers.items() if key in reader["sets"]}
        width = 0.8 / len(own)
        for place, (name, results) in enumerate(own.items()):
            by_word = parts_of(results)
            heights = [by_word.get(word, {}).get("f1", 0.0) for word in words]
            left = [at + (place - (len(own) - 1) / 2) * width for at in range(len(words))]
            axes.bar(left, heights, width, label=name)
        axes.set(title=key, ylabel="F1", xticks=range(len(words)))
        axes.set_xticklabels([f"{word}\n{rows:,}" for word, rows in words.items()])
        axes.legend()
    return _svg(figure)


def training_svg(curves: Mapping[str, Curve]) -> str:
    """Training loss against steps, phases one after the other."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    for name, entries in curves.items():
        axes.plot(_steps(entries), [entry["loss"] for entry in entries], label=name)
    axes.set(xlabel="step", ylabel="loss", yscale="log")
    _plain_numbers(axes.yaxis)
    axes.legend()
    return _svg(figure)


def _plain_numbers(axis: Axis) -> None:
    """Write 200 where a logarithmic axis would say 2 times 10 to the 2nd."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def _steps(entries: Curve) -> list[int]:
    """Steps counted over all phases; each phase counts its own from 1."""
    steps, before = [], 0
    for _, phase in itertools.groupby(entries, key=lambda entry: entry["phase"]):
        own = [entry["step"] for entry in phase]
        steps += [before + step for step in own]
        before += own[-1]
    return steps


def _svg(figure: Figure) -> str:
    text = io.StringIO()
    # Equal points must give equal bytes.
    with matplotlib.rc_context({"svg.hashsalt": "report"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    drawn = text.getvalue()
    return drawn[drawn.index("<svg") :]
