"""The check of a row's labels, by what a task's labels are; answers are checked elsewhere."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from pipeline.datasets.rows import Broken, shown
from pipeline.schema import Example
from pipeline.text.unicode import is_unicode

ANSWERS, NONE, TAGS = "answers", "none", "tags"


def check_labelled(example: Example, kind: str) -> Example | Broken:
    """A row that can be used, or why it cannot. Labels that no one asked for are dropped."""
    for field, text in (("id", example.id), ("first text", example.question), ("text", example.context)):
        if not is_unicode(text):
            return Broken(example.id, "not_unicode", f"{field} holds half of a surrogate pair")
    if not example.context.strip():
        return Broken(example.id, "empty_text", f"text {shown(example.context)}")
    if kind == NONE or example.labels is None:
        return replace(example, labels=None)
    if not all(map(is_unicode, example.labels)):
        return Broken(example.id, "not_unicode", "a label holds half of a surrogate pair")
    problem = LABELS[kind](example.labels, example.context)
    return example if problem is None else Broken(example.id, "wrong_label", problem)


def classes(examples: Sequence[Example], kind: str) -> list[str] | None:
    """All classes that stand among the labels, numbers by their value; None where labels are no classes."""
    if kind not in CLASSES:
        return None
    found = {label for example in examples for label in example.labels or ()}
    numbers = all(label.isdecimal() for label in found)
    return sorted(found, key=(lambda label: (int(label), label)) if numbers else None)


def words(text: str) -> list[tuple[int, int]]:
    """Where the words of a tagged text stand, end excluded. Spaces part them."""
    spans, start = [], 0
    for word in text.split(" "):
        if word:
            spans.append((start, start + len(word)))
        start += len(word) + 1
    return spans


def _one_class(labels: Sequence[str], text: str) -> str | None:
    good = len(labels) == 1 and labels[0].strip()
    return None if good else f"expected one class; got {shown(list(labels))}"


def _several_classes(labels: Sequence[str], text: str) -> str | None:
    good = len(set(labels)) == len(labels) and all(label.strip() for label in labels)
    return None if good else f"expected different classes; got {shown(list(labels))}"


def _number(labels: Sequence[str], text: str) -> str | None:
    try:
        good = len(labels) == 1 and math.isfinite(float(labels[0]))
    except ValueError:
        good = False
    return None if good else f"expected a finite number; got {shown(list(labels))}"


def _tags(labels: Sequence[str], text: str) -> str | None:
    count = len(words(text))
    if len(labels) != count:
        return f"expected {count} tags, one a word; got {len(labels)}"
    wrong = [tag for tag in labels if tag != "O" and not (tag[:2] in ("B-", "I-") and tag[2:])]
    return f"expected tags O, B-... and I-...; got {shown(wrong[0])}" if wrong else None


LABELS: Mapping[str, Callable[[Sequence[str], str], str | None]] = MappingProxyType(
    {"class": _one_class, "classes": _several_classes, "number": _number, TAGS: _tags}
)
CLASSES = frozenset({"class", "classes", TAGS})
