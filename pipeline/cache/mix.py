"""Several target sets as one: which mean of what they say, and with which weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MEAN_LOGITS: Final = "mean_logits"
MEAN_PROBABILITIES: Final = "mean_probabilities"

# The fields that can be merged into a cache of its own, and which of their options are that cache's own; the
# others are the first member's.
MERGED_FIELDS: Final = ("qa_attention", "span_logits", "top_spans")
OWN_OPTIONS: Final = frozenset({"dtype", "k", "scale"})


@dataclass(frozen=True)
class Mix:
    """How what several teachers say becomes one target.

    Args:
        mean: "mean_logits" (TextBrewer's MultiTeacherDistiller), for teachers that share their tokens, or
            "mean_probabilities" (Hu et al. 2018), for any.
        weights: Of each member; they sum to 1.
    """

    mean: str
    weights: tuple[float, ...]

    @classmethod
    def of(cls, mean: str, members: int, weights: Sequence[int | float] | None = None) -> "Mix":
        """A mix of so many members; `weights` are positive and need not sum to 1, None weighs all alike."""
        given = [1.0] * members if weights is None else [float(weight) for weight in weights]
        assert len(given) == members, "one weight a member"
        total = sum(given)
        return cls(mean, tuple(weight / total for weight in given))

    def aliases(self, alias: str) -> tuple[str, ...]:
        """What the members of the mix called `alias` are called, beside it, in inputs and batches."""
        return tuple(f"{alias}/{number}" for number in range(len(self.weights)))
