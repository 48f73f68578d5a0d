"""Sliding windows (Devlin et al. 2018): of a long context all of it, in passages that overlap."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ParamsError
from pipeline.selection.budget import Budget
from pipeline.selection.selected import Pair, Selected
from pipeline.selection.shortener import Shortener
from pipeline.text.sentences import Span

# Scripts from here on are written without spaces between words.
_FIRST_UNSPACED = "\u2e80"


class SlidingWindows(Shortener):
    """Makes several passages of a context longer than the limit, so that nothing of it is lost.

    An answer of at most `stride` tokens stands whole in one of them.

    Args:
        tokenizer: Folder of the teacher's tokenizer, in whose tokens limits are counted.
        max_tokens: The limit for question, passage and special tokens.
        max_question_tokens: The limit for the question alone.
        stride: The tokens that two neighbours share, or a few more: a window begins with a word. A quarter of
            `max_tokens` if None. The name is that of transformers' tokenizers; the `doc_stride` of Devlin et
            al. is the tokens from the start of one to that of the next.

    Attributes:
        budget_: The limits, with the tokenizer.
        stride_: The tokens that two neighbours share.
    """

    def __init__(
        self,
        *,
        tokenizer: Path | None = None,
        max_tokens: int = 512,
        max_question_tokens: int = 40,
        stride: int | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self.max_question_tokens = max_question_tokens
        self.stride = stride

    def fit(self, X: Sequence[Pair], y: None = None) -> "SlidingWindows":
        """Check the limits and open the tokenizer.

        Raises:
            ParamsError: A limit cannot be obeyed.
        """
        self.budget_ = Budget.open(self.tokenizer, self.max_tokens, self.max_question_tokens)
        least = self.max_tokens - self.max_question_tokens - self.budget_.encoder.num_special
        self.stride_ = min(self.max_tokens // 4, least - 1) if self.stride is None else self.stride
        if not 0 <= self.stride_ < least:
            raise ParamsError(
                "stride",
                expected=f"0 to {least - 1}, fewer tokens than a window has beside the longest question",
                got=str(self.stride),
                remedy="lower stride or raise max_tokens",
            )
        return self

    def _shorten(self, pairs: Sequence[Pair], rooms: Sequence[int]) -> list[Selected]:
        contexts = [context for _, context in pairs]
        return [
            Selected(tuple((span,) for span in spans(context, offsets, room, self.stride_)), is_cut=True)
            for context, offsets, room in zip(contexts, self.budget_.offsets(contexts), rooms, strict=True)
        ]


def spans(context: str, offsets: NDArray[np.integer], room: int, stride: int) -> list[Span]:
    """Windows of at most `room` tokens that cover `context` together.

    Args:
        context: The text.
        offsets: First character and the one after the last of each of its tokens.
        room: The most tokens of a window.
        stride: The fewest that neighbours share.
    """
    found: list[Span] = []
    first, last = 0, min(room, len(offsets))
    while last < len(offsets):
        found.append((int(offsets[first, 0]), int(offsets[last - 1, 1])))
        first = _word_start(context, offsets, first, last - stride)
        last = min(first + room, len(offsets))
    return [*found, (int(offsets[first, 0]), len(context))]


def _word_start(context: str, offsets: NDArray[np.integer], first: int, token: int) -> int:
    """The first token of the word that `token` is a piece of; `token` where the word fills the window.

    A piece of a word may be other tokens where the word's beginning is not seen.
    """
    for begin in range(token, first, -1):
        if not _parts_word(context, int(offsets[begin, 0])):
            return begin
    return token


def _parts_word(context: str, at: int) -> bool:
    return all(part.isalnum() and part < _FIRST_UNSPACED for part in context[at - 1 : at + 1])
