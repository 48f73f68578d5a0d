"""One run of the trainer, of which a student's training has one or more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.training.trainer import Scorer


@dataclass(frozen=True)
class Phase:
    """One run of the trainer, as params write it.

    Args:
        terms: Its terms.
        training: Its training section.
        name: What logs and summary call it; its number where it has none.
        tau: How a source is drawn for each batch, see `Mixture`; None reads all rows in one order.
        scorer: Scores the student on the `eval_set` of its training section; None where it has none.
    """

    terms: Sequence[Mapping[str, Any]]
    training: Mapping[str, Any]
    name: str | None = None
    tau: float | None = None
    scorer: Scorer | None = None
