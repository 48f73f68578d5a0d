"""The check that every row passes: repaired where that is certain, else refused with a reason.

Texts are never altered, because offsets count their characters.
"""

from dataclasses import dataclass, replace

from pipeline.datasets.labels import ANSWERS, check_labelled
from pipeline.datasets.rows import Broken, shown
from pipeline.schema import Answer, Example
from pipeline.text.unicode import is_unicode

# Writers that count UTF-16 units, or a mark at the start of the file, are off by so many characters.
_NEAR = 2
_EDGES = " \t\r\n\u00a0\u3000.,;:!?。，、；：！？"


@dataclass(frozen=True, slots=True)
class Checked:
    """A row that can be used.

    Args:
        example: The row, with the answers that stand in the context. Where there are others, all their texts
            count as `gold_texts` when predictions are scored, as in the official scripts.
        repaired: How many answers were moved, or freed of punctuation at their edges, to stand there.
        dropped: How many answers nothing is taught of, since they do not stand there and others do.
    """

    example: Example
    repaired: int = 0
    dropped: int = 0


def check(example: Example, *, keep_impossible: bool, labels: str = ANSWERS) -> Checked | Broken:
    """Judge one row.

    Args:
        example: The row as its file has it.
        keep_impossible: Whether the task has questions without an answer.
        labels: What the task's labels are: answers, or one of `pipeline.datasets.labels`.
    """
    if labels != ANSWERS:
        verdict = check_labelled(example, labels)
        return verdict if isinstance(verdict, Broken) else Checked(verdict)
    refusal = _refusal(example, keep_impossible=keep_impossible)
    if refusal is not None:
        return Broken(example.id, *refusal)
    placed = [place(answer, example.context) for answer in example.answers]
    kept = tuple(answer for answer in placed if isinstance(answer, Answer))
    if example.answers and not kept:
        reasons = [reason for reason in placed if isinstance(reason, str)]
        detail = f"{_described(example.answers[0])}, in a context of {len(example.context)} characters"
        return Broken(example.id, reasons[0], detail)
    repaired = sum(
        isinstance(new, Answer) and new != old for old, new in zip(example.answers, placed, strict=True)
    )
    dropped = len(placed) - len(kept)
    golds = example.gold_texts
    if dropped and golds is None:
        texts = (answer.text for answer in example.answers)
        golds = tuple(dict.fromkeys(text for text in texts if text.strip() and is_unicode(text)))
    return Checked(replace(example, answers=kept, gold_texts=golds), repaired, dropped)


def _refusal(example: Example, *, keep_impossible: bool) -> tuple[str, str] | None:
    for field, text in (("id", example.id), ("question", example.question), ("context", example.context)):
        if not is_unicode(text):
            return "not_unicode", f"{field} holds half of a surrogate pair"
    if not all(map(is_unicode, example.gold_texts or ())):
        return "not_unicode", "a gold text holds half of a surrogate pair"
    if not example.question.strip():
        return "empty_question", f"question {example.question!r}"
    if not example.context.strip():
        return "empty_context", f"context {shown(example.context)}"
    if example.is_impossible and example.answers:
        return "contradictory", f"is_impossible, yet with the {_described(example.answers[0])}"
    if example.is_impossible and not keep_impossible:
        return "unanswerable", "the question has no answer in this context, and the task has none such"
    return None


def place(answer: Answer, context: str) -> Answer | str:
    """The answer where it stands in `context`, or the reason why that is not certain."""
    if not answer.text.strip():
        return "empty_answer"
    for text in (answer.text, answer.text.strip(), answer.text.strip(_EDGES)):
        starts = _occurrences(text, context)
        if starts:
            start = _certain(starts, answer.start)
            return "ambiguous_offset" if start is None else Answer(text, start)
    return "answer_not_in_context"


def _certain(starts: list[int], claimed: int) -> int | None:
    if claimed in starts or len(starts) == 1:
        return claimed if claimed in starts else starts[0]
    near = [start for start in starts if claimed >= 0 and abs(start - claimed) <= _NEAR]
    return near[0] if len(near) == 1 else None


def _occurrences(text: str, context: str) -> list[int]:
    starts: list[int] = []
    found = context.find(text) if text else -1
    while found >= 0:
        starts.append(found)
        found = context.find(text, found + 1)
    return starts


def _described(answer: Answer) -> str:
    return f"answer {shown(answer.text)} at {answer.start}"
