"""What a selection method says about one row."""

from dataclasses import dataclass

from pipeline.text.sentences import Span

Pair = tuple[str, str]
"""A row: a question and its context."""


@dataclass(frozen=True, slots=True)
class Selected:
    """The parts of one row's context that are kept, in their order.

    Args:
        windows: One or more passages, each the spans of the context that it is made of.
        is_cut: The whole context was longer than the limit.
        is_truncated: The passage ends at the limit, and not with a sentence.
        question_is_cut: Models will read only the first part of the question.
    """

    windows: tuple[tuple[Span, ...], ...]
    is_cut: bool = False
    is_truncated: bool = False
    question_is_cut: bool = False

    @classmethod
    def whole(cls, context: str, *, question_is_cut: bool) -> "Selected":
        """All of `context`, in one window."""
        spans = ((0, len(context)),) if context else ()
        return cls(windows=(spans,), question_is_cut=question_is_cut)
