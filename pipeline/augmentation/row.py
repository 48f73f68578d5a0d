"""One row out of another: which of its texts change, where labels go, and whether they are still right."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from pipeline.augmentation.words import Word, join_words, read_words
from pipeline.datasets.check import check
from pipeline.datasets.labels import ANSWERS, TAGS
from pipeline.datasets.rows import Broken
from pipeline.fingerprint import digest
from pipeline.schema import Example

Change = Callable[[Sequence[Word], Random], Sequence[Word]]

FIRST, SECOND, BOTH, CYCLE = SIDES = ("first", "second", "both", "cycle")


def question_words(row: Example, language: str, labels: str) -> list[Word]:
    """The words of the first text of a pair; none where there is one text."""
    return read_words(row.question, language, is_tagged=labels == TAGS)


def context_words(row: Example, language: str, labels: str) -> list[Word]:
    """The words of the second text of a pair, or of the one text, with what labels them."""
    is_tagged = labels == TAGS
    tags = row.labels if is_tagged else None
    return read_words(row.context, language, answers=row.answers, tags=tags, is_tagged=is_tagged)


def augmented(
    row: Example, number: int, *, change: Change, language: str, labels: str, sides: str, seed: int
) -> Example:
    """The row that `change` makes of a row.

    Args:
        row: The row.
        number: Which of the row's new rows it is, from 0.
        change: Gives other words for the words of a text, as the random numbers it is handed decide.
        language: "en" or "zh".
        labels: What the labels of the task are: answers, or one of `pipeline.datasets.labels`.
        sides: One of `SIDES`. A question that has answers stays as it is: with another they would be others.
        seed: Random numbers follow from it, the number and the row's texts: no other row changes them.
    """
    side = SECOND if labels == ANSWERS or not row.question else sides
    if side == CYCLE:
        side = (FIRST, SECOND, BOTH)[number % 3]
    random = Random(chance(row, number, seed))
    new = replace(row, id=f"{row.id}+{number + 1}")
    if side != SECOND:
        words = question_words(row, language, labels)
        question = join_words(change(words, random), words)
        new = replace(new, question=question.text)
    if side != FIRST:
        words = context_words(row, language, labels)
        text = join_words(change(words, random), words)
        tags = text.tags if labels == TAGS and row.labels is not None else row.labels
        new = replace(new, context=text.text, answers=text.answers, labels=tags)
    return new


def chance(row: Example, number: int, seed: int) -> bytes:
    """What all chance about a new row follows from, which has nothing of other rows."""
    return digest([str(seed), str(number), row.question, row.context])


def refusal(new: Example, row: Example, labels: str) -> str | None:
    """Why the row that was made of `row` cannot be used; None where it can."""
    if texts(new) == texts(row):
        return "unchanged"
    if not new.context.strip() or bool(new.question.strip()) != bool(row.question.strip()):
        return "no_words_left"
    if len(new.answers) < len(row.answers):
        return "answer_lost"
    verdict = check(new, keep_impossible=True, labels=labels)
    if isinstance(verdict, Broken):
        return verdict.reason
    return None if verdict.example == new else "answer_not_in_context"


def texts(row: Example) -> tuple[str, str]:
    """What a model reads of a row, for which white space at the ends is nothing."""
    return row.question.strip(), row.context.strip()
