"""No selection: of a context longer than the limit, the part before it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sklearn.base import BaseEstimator, TransformerMixin

from pipeline.selection.budget import Budget
from pipeline.selection.selected import Pair, Selected


class HeadOfContext(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Keeps a context from its start to the limit: what a teacher reads where nothing is selected.

    Args:
        tokenizer: Folder of the teacher's tokenizer, in whose tokens limits are counted.
        max_tokens: The limit for question, passage and special tokens.
        max_question_tokens: The limit for the question alone.

    Attributes:
        budget_: The limits, with the tokenizer.
    """

    def __init__(
        self, *, tokenizer: Path | None = None, max_tokens: int = 512, max_question_tokens: int = 40
    ) -> None:
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self.max_question_tokens = max_question_tokens

    def fit(self, X: Sequence[Pair], y: None = None) -> "HeadOfContext":
        """Check the limits and open the tokenizer.

        Raises:
            ParamsError: A limit cannot be obeyed.
        """
        self.budget_ = Budget.open(self.tokenizer, self.max_tokens, self.max_question_tokens)
        return self

    def transform(self, X: Sequence[Pair]) -> list[Selected]:
        """What is kept of each row's context: one window a row."""
        questions = [question for question, _ in X]
        contexts = [context for _, context in X]
        rooms, question_cuts = self.budget_.rooms(questions)
        fits = self.budget_.fits(contexts, rooms)
        long = [pair for pair, has_room in zip(X, fits, strict=True) if not has_room]
        heads = iter(
            self.budget_.cut(
                [question for question, _ in long],
                [context for _, context in long],
                [(0, len(context)) for _, context in long],
            )
        )
        return [
            Selected.whole(context, question_is_cut=is_cut)
            if has_room
            else Selected(((next(heads),),), is_cut=True, is_truncated=True, question_is_cut=is_cut)
            for context, has_room, is_cut in zip(contexts, fits, question_cuts, strict=True)
        ]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.no_validation = True
        return tags
