"""What selection methods share: contexts that fit stay whole, the others are shortened."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sklearn.base import BaseEstimator, TransformerMixin

from pipeline.selection.budget import Budget
from pipeline.selection.selected import Pair, Selected


class Shortener(TransformerMixin, BaseEstimator, ABC):  # type: ignore[misc]  # scikit-learn has no types
    """A selection method, whose `_shorten` is given the rows with a context that is too long.

    Attributes:
        budget_: The limits, with the tokenizer, as `fit` sets it.
    """

    budget_: Budget

    def transform(self, X: Sequence[Pair]) -> list[Selected]:
        """What is kept of each row's context."""
        questions = [question for question, _ in X]
        contexts = [context for _, context in X]
        rooms, question_cuts = self.budget_.rooms(questions)
        fits = self.budget_.fits(contexts, rooms)
        long = [row for row, has_room in enumerate(fits) if not has_room]
        shortened = iter(self._shorten([X[row] for row in long], [rooms[row] for row in long]))
        return [
            Selected.whole(context, question_is_cut=is_cut)
            if has_room
            else replace(next(shortened), question_is_cut=is_cut)
            for context, has_room, is_cut in zip(contexts, fits, question_cuts, strict=True)
        ]

    @abstractmethod
    def _shorten(self, pairs: Sequence[Pair], rooms: Sequence[int]) -> list[Selected]:
        """What is kept of each of these contexts, none of which fits into its room of so many tokens."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.no_validation = True
        return tags
