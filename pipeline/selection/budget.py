"""How much of a context fits beside a question, counted in the teacher's tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ParamsError
from pipeline.text.sentences import Span
from pipeline.text.tokenizers import Encoder

_NO_LIMIT = 2**31


@dataclass(frozen=True)
class Budget:
    """The room that a teacher has for a question and a passage."""

    encoder: Encoder
    max_tokens: int
    max_question_tokens: int

    @classmethod
    def open(cls, tokenizer: Path | None, max_tokens: int, max_question_tokens: int) -> "Budget":
        """A budget in the tokens of the tokenizer in a folder.

        Raises:
            ParamsError: No folder is named, or the limits leave no room.
        """
        if tokenizer is None:
            raise ParamsError(
                "tokenizer",
                expected="the folder of the teacher's tokenizer",
                got="none",
                remedy="name it: limits are counted in its tokens",
            )
        return cls(Encoder.open(tokenizer), max_tokens, max_question_tokens)

    def __post_init__(self) -> None:
        least = self.max_question_tokens + self.encoder.num_special + 1
        if self.max_tokens < least:
            raise ParamsError(
                "max_tokens",
                expected=f"at least {least}, room for a question of max_question_tokens and a word",
                got=str(self.max_tokens),
                remedy="raise max_tokens or lower max_question_tokens",
            )

    def rooms(self, questions: Sequence[str]) -> tuple[list[int], list[bool]]:
        """For each question, the tokens left for a passage, and whether the question is cut."""
        counts = self._counts(questions)
        rooms = [
            self.max_tokens - self.encoder.num_special_with(question) - min(count, self.max_question_tokens)
            for question, count in zip(questions, counts, strict=True)
        ]
        return rooms, [count > self.max_question_tokens for count in counts]

    def fits(self, contexts: Sequence[str], rooms: Sequence[int]) -> list[bool]:
        """Whether each context fits whole."""
        return [count <= room for count, room in zip(self._counts(contexts), rooms, strict=True)]

    def most(
        self, contexts: Sequence[str], ranked: Sequence[Sequence[Span]], rooms: Sequence[int]
    ) -> list[int]:
        """How many of the best spans of each context fit together; 0 where the best alone does not.

        The same as dropping the last of the ranked spans until the rest fits, in two or three passes over
        the texts: the sum of the spans' own tokens is a close guess, and only its neighbours are tried.
        """
        guesses = self._guesses(contexts, ranked, rooms)
        fitting = [0] * len(contexts)
        failing = [len(spans) + 1 for spans in ranked]
        pending = [row for row, spans in enumerate(ranked) if spans]
        while pending:
            texts = [joined(contexts[row], ranked[row][: guesses[row]]) for row in pending]
            for row, count in zip(pending, self.encoder.count_tokens(texts), strict=True):
                if count <= rooms[row]:
                    fitting[row] = guesses[row]
                    guesses[row] += 1
                else:
                    failing[row] = guesses[row]
                    guesses[row] -= 1
            pending = [row for row in pending if failing[row] - fitting[row] > 1]
        return fitting

    def cut(self, questions: Sequence[str], contexts: Sequence[str], spans: Sequence[Span]) -> list[Span]:
        """The start of each span that fits, up to the end of its last token."""
        encoded = self.encoder.encode(
            questions,
            [context[slice(*span)] for context, span in zip(contexts, spans, strict=True)],
            max_length=self.max_tokens,
            max_question_tokens=self.max_question_tokens,
        )
        return [
            (start, start + (int(row.passage_offsets[-1, 1]) if len(row.passage_offsets) else 0))
            for (start, _), row in zip(spans, encoded, strict=True)
        ]

    def offsets(self, contexts: Sequence[str]) -> list[NDArray[np.int32]]:
        """First character and the one after the last of every token of each context, however long it is."""
        encoded = self.encoder.encode(
            [""] * len(contexts), contexts, max_length=_NO_LIMIT, max_question_tokens=1
        )
        return [row.passage_offsets for row in encoded]

    def _counts(self, texts: Sequence[str]) -> list[int]:
        different = list(dict.fromkeys(texts))
        counts = dict(zip(different, self.encoder.count_tokens(different), strict=True))
        return [counts[text] for text in texts]

    def _guesses(
        self, contexts: Sequence[str], ranked: Sequence[Sequence[Span]], rooms: Sequence[int]
    ) -> list[int]:
        parts = [
            [context[slice(*span)] for span in spans] for context, spans in zip(contexts, ranked, strict=True)
        ]
        counts = iter(self._counts([part for row in parts for part in row]))
        guesses = []
        for row, room in zip(parts, rooms, strict=True):
            totals = np.cumsum([next(counts) for _ in row])
            guesses.append(max(1, int(np.searchsorted(totals, room, side="right"))))
        return guesses


def joined(context: str, spans: Sequence[Span]) -> str:
    """The text of `spans` in the order of the context."""
    return "".join(context[start:end] for start, end in sorted(spans))
