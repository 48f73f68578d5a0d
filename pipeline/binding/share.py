"""A share of a split, for curves: which rows a source reads, and which of them show their labels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.errors import DataError
from pipeline.schema import Passage


@dataclass(frozen=True)
class Share:
    """How much of a split is read.

    Examples, with all their passages, are taken in one random order that `seed` alone decides: less is a part
    of more, and at equal seeds `rows` and `labelled` take the same examples where all have labels.

    Args:
        rows: How many examples, or from above 0 to 1.0 which share of them; None for all.
        labelled: The same of the labelled ones among these; the others lose their gold labels.
        seed: Of the order.
    """

    rows: int | float | None = None
    labelled: int | float | None = None
    seed: int = 0

    def kept(self, passages: Sequence[Passage], where: str) -> list[int]:
        """The places of the passages that are read, in their order.

        Raises:
            DataError: There are fewer examples than are wanted.
        """
        if self.rows is None:
            return list(range(len(passages)))
        wanted = set(self._first(self.rows, [passage.example for passage in passages], where))
        return [at for at, passage in enumerate(passages) if passage.example in wanted]

    def shown(self, passages: Sequence[Passage], where: str) -> list[Passage]:
        """The passages, of which those beyond `labelled` are without gold labels.

        Raises:
            DataError: There are fewer labelled examples than are wanted.
        """
        if self.labelled is None:
            return list(passages)
        known = [passage.example for passage in passages if is_labelled(passage)]
        wanted = set(self._first(self.labelled, known, f"{where}, its labels"))
        return [passage if passage.example in wanted else _unlabelled(passage) for passage in passages]

    def _first(self, amount: int | float, examples: Sequence[int], where: str) -> list[int]:
        known = sorted(set(examples))
        count = amount if isinstance(amount, int) else max(1, round(amount * len(known)))
        if count > len(known):
            raise DataError(
                where,
                expected=f"{count:,} examples or more",
                got=f"{len(known):,}",
                remedy="ask for fewer, or for a share such as 0.5",
            )
        # A place for every example that the split may have, so that labels follow the order of rows.
        rank = np.random.default_rng(self.seed).random(known[-1] + 1 if known else 0)
        return sorted(known, key=rank.__getitem__)[:count]


ALL = Share()


def is_labelled(passage: Passage) -> bool:
    """Whether there is something to learn from, or to score by."""
    return bool(passage.gold_texts) or passage.is_impossible or passage.labels is not None


def _unlabelled(passage: Passage) -> Passage:
    return replace(passage, answers=(), gold_texts=(), is_impossible=False, labels=None)
