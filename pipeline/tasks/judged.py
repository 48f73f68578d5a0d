"""A prediction of labels as it is scored."""

from collections.abc import Sequence
from typing import NamedTuple


class Judged(NamedTuple):
    """One row's prediction beside its gold labels.

    `labels` is the class, classes or tags that were predicted, `values` what the model gave each class (of a
    number: itself), `golds` the right labels, `group` what rows are ranked together by, such as the question.
    """

    labels: tuple[str, ...]
    values: tuple[float, ...]
    golds: tuple[str, ...]
    group: str = ""


def tags_of_words(predicted: Sequence[str], golds: Sequence[str]) -> tuple[str, ...]:
    """The tags of all words that have a gold one: those that selection cut off were not tagged."""
    return (*predicted, *("O",) * (len(golds) - len(predicted)))
