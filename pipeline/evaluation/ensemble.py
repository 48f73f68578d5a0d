"""Several finished models as one: the mean of their probabilities decides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from pipeline.errors import MismatchError
from pipeline.evaluation.joint import mean
from pipeline.evaluation.judge import Member, SpanJudge
from pipeline.evaluation.rows import EvaluationSet, TokenRow
from pipeline.schema import Passage


@dataclass(frozen=True, slots=True)
class RowOfEach:
    """One passage as each member of an ensemble reads it."""

    rows: tuple[TokenRow, ...]

    def __len__(self) -> int:
        """Tokens of the longest."""
        return max(map(len, self.rows))


@dataclass(frozen=True)
class EnsembleJudge:
    """Members that read in turn. A word that some have not read is tagged by the others.

    Spans are averaged as such, p1(start) p2(end) of each member, as `score_cached` averages cached ones. So
    are, where all members can say that there is no answer, the logits of the best span and of no answer.

    Args:
        members: The models, each as it judges the same set.
        shares: What each counts; they sum to 1.
    """

    members: tuple[Member, ...]
    shares: tuple[float, ...]

    @property
    def models(self) -> tuple[PreTrainedModel, ...]:
        """Those of all members."""
        return tuple(model for member in self.members for model in member.models)

    @property
    def device(self) -> torch.device:
        """Where they compute."""
        return self.members[0].device

    def predict(self, rows: Sequence[RowOfEach]) -> list[Any]:
        """What they say of each row of one batch."""
        said = [member.believe([row.rows[at] for row in rows]) for at, member in enumerate(self.members)]
        means = [mean(beliefs, self.shares) for beliefs in zip(*said, strict=True)]
        return self.members[0].decide([row.rows[0] for row in rows], means)

    def score(
        self, passages: Sequence[Passage], said: Sequence[Any]
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The predictions of all examples, and the scores of those that are labelled."""
        return self.members[0].score(passages, said)


def together(key: str, members: Mapping[str, Member], sets: Mapping[str, EvaluationSet]) -> EvaluationSet:
    """The set called `key` as all members read it.

    Args:
        key: The set.
        members: Each by its name.
        sets: The set as it was bound for each.

    Raises:
        MismatchError: They do not read the same passages, or what they say of them has no mean.
    """
    (first, shared), *others = sets.items()
    for name, opened in others:
        differing = None
        if opened.passages != shared.passages:
            differing = "passages"
        elif members[name].classes != members[first].classes:
            differing = "classes"
        elif isinstance(members[first], SpanJudge) and not all(
            np.array_equal(row.passage_offsets, other.passage_offsets)
            for row, other in zip(opened.rows, shared.rows, strict=True)
        ):
            differing = "tokens"
        if differing:
            raise MismatchError(
                f"{key} as {name!r} reads it",
                expected=f"the {differing} of {first!r}, with whose probabilities its own are averaged",
                got="others",
                remedy="bind both again, or leave one out",
            )
    rows = zip(*(opened.rows for opened in sets.values()), strict=True)
    return EvaluationSet(shared.passages, [RowOfEach(row) for row in rows])
