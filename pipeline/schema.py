"""The frozen values that cross packages: examples as read, passages as selected."""

from bisect import bisect_right
from dataclasses import dataclass, field
from types import MappingProxyType

# A column that a table lacks where no row has a value for it: one task's tables know nothing of another's.
OPTIONAL = MappingProxyType({"optional": True})


@dataclass(frozen=True, slots=True)
class Answer:
    """A gold answer: its text and the character where it starts."""

    text: str
    start: int


@dataclass(frozen=True, slots=True)
class Example:
    """One question about one context; or a pair of texts, or one text, whose `question` is empty.

    `id` is the data set's own and need not be unique. `answers` is empty for an unlabelled row;
    `is_impossible` says that the row is labelled and has no answer (SQuAD 2.0). `labels` are those of other
    tasks, as texts: a class, several classes, a number, or a tag for each word; None for an unlabelled row.
    `gold_texts` are what a predicted answer is scored against, where these are other texts than those of
    `answers`, for they need not stand in the context.
    """

    id: str
    question: str
    context: str
    answers: tuple[Answer, ...] = ()
    is_impossible: bool = False
    labels: tuple[str, ...] | None = field(default=None, metadata=OPTIONAL)
    gold_texts: tuple[str, ...] | None = field(default=None, metadata=OPTIONAL)

    @property
    def golds(self) -> tuple[str, ...]:
        """What a predicted answer is scored against."""
        texts = tuple(answer.text for answer in self.answers)
        return texts if self.gold_texts is None else self.gold_texts


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of characters of a passage that was copied from the context unchanged."""

    passage_start: int
    context_start: int
    length: int


@dataclass(frozen=True, slots=True)
class Passage:
    """What teacher and student read of one example.

    `text` is the concatenation of its segments, so every character has an exact origin.
    `answers` are the gold answers that survived selection, in `text`; `gold_texts` are all of the
    example's, for scoring. `example` is the row of the example in its table, `window` the ordinal of
    this passage among the example's. `labels` are the example's, whatever part of it this is.
    """

    example: int
    window: int
    id: str
    question: str
    text: str
    segments: tuple[Segment, ...]
    answers: tuple[Answer, ...]
    gold_texts: tuple[str, ...]
    is_impossible: bool = False
    labels: tuple[str, ...] | None = field(default=None, metadata=OPTIONAL)

    def context_span(self, start: int, end: int) -> tuple[int, int]:
        """The span of the context that covers characters `start` to `end` (exclusive) of the passage."""
        if not 0 <= start < end <= len(self.text):
            raise ValueError(f"span {start}:{end} does not lie in a passage of {len(self.text)} characters")
        return self._origin(start), self._origin(end - 1) + 1

    def _origin(self, character: int) -> int:
        segment = self.segments[bisect_right(self.segments, character, key=lambda s: s.passage_start) - 1]
        return segment.context_start + character - segment.passage_start


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that could not be kept, and why."""

    split: str
    row: int
    id: str
    reason: str
    detail: str
