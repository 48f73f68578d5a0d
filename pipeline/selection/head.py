"""No selection: of a context longer than the limit, the part before it."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.selection.budget import Budget
from pipeline.selection.selected import Pair, Selected
from pipeline.selection.shortener import Shortener


class HeadOfContext(Shortener):
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

    def _shorten(self, pairs: Sequence[Pair], rooms: Sequence[int]) -> list[Selected]:
        questions, contexts = ([pair[part] for pair in pairs] for part in (0, 1))
        heads = self.budget_.cut(questions, contexts, [(0, len(context)) for context in contexts])
        return [Selected(((head,),), is_cut=True, is_truncated=True) for head in heads]
