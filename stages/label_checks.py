"""Who is to learn the labels of, or be scored on, rows that were made without labels."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.objectives.declarations import GOLD
from pipeline.objectives.needs import reads_source


def label_problems(read: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Paths and sentences, over all entries that could be read."""
    bare = {name for name, made in read["augmentations"].items() if made.labels == "drop"}
    for path, dataset in _labels_read(read):
        if dataset in bare:
            yield path, f"rows of {dataset!r} have no labels; write 'labels: keep' in augmentations.{dataset}"
    for key, student in read["students"].items():
        for number, phase in enumerate(student.phases):
            for place, term in enumerate(phase.terms):
                counted = {source.dataset for source in phase.sources if reads_source(term, source.name)}
                if term.get("loss") == GOLD and counted and counted <= bare:
                    path = f"students.{key}.phases.{number}.terms.{place}"
                    yield path, "no source that it counts has labels; name another, or leave it out"


def _labels_read(read: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Where data sets are named for their labels."""
    for key, teacher in read["teachers"].items():
        if teacher.train is not None:
            yield f"teachers.{key}.train", teacher.train.dataset
        yield from ((f"teachers.{key}.evaluate", name.split(".")[0]) for name in teacher.evaluate)
    for key, student in read["students"].items():
        yield from ((f"students.{key}.evaluate", name.split(".")[0]) for name in student.evaluate)
        yield from ((f"students.{key}.phases", name.split(".")[0]) for name in student.development)
