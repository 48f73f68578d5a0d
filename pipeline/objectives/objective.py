"""What a student minimises: the sum of its terms, each a scale times a mean over counted rows."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int, Real
from torch import Tensor

from pipeline.cache.mix import Mix
from pipeline.errors import ParamsError
from pipeline.losses import LOSSES
from pipeline.models.reading import Outputs
from pipeline.objectives.declarations import (
    GOLD,
    WEIGHT,
    WEIGHT_SCHEDULE,
    columns_of,
    declaration_of,
    options_of,
    phase_problems,
    task_of,
    term_problems,
)
from pipeline.objectives.soft_targets import around
from pipeline.objectives.term import Batch, Reads, Term
from pipeline.registry import imported
from pipeline.schedules import CONSTANT, WEIGHT_SCHEDULES

Schedule = Callable[[float], float]


class Measured(NamedTuple):
    """A term on one batch: its sum without scale, off the graph, and the rows counted."""

    total: Float[Tensor, ""]
    rows: Int[Tensor, ""]


@dataclass(frozen=True)
class Objective:
    """The sum of terms.

    Args:
        terms: The terms.
        schedules: Of each term, what its scale is multiplied by at a share of training done, from 0 to 1.
    """

    terms: tuple[Term, ...]
    schedules: tuple[Schedule, ...]

    @property
    def reads(self) -> Reads:
        """What the terms read of the student beside the outputs of its task."""
        every = [term.reads for term in self.terms]
        return Reads(
            next((reads.attention_layer for reads in every if reads.attention_layer is not None), None),
            frozenset().union(*(reads.hidden for reads in every)),
            frozenset().union(*(reads.attention for reads in every)),
        )

    def scales(self, progress: float) -> list[float]:
        """What each term's mean is multiplied by when `progress` of training, from 0 to 1, is done."""
        return [
            term.scale * schedule(progress) for term, schedule in zip(self.terms, self.schedules, strict=True)
        ]

    def counted(self, batch: Batch) -> Int[Tensor, " terms"]:
        """How many rows of a batch each term counts.

        Summed over the batches and ranks of an optimizer step, these `counts` make its loss exact.
        """
        return torch.stack([term.counted(batch) for term in self.terms])

    def __call__(
        self,
        outputs: Outputs,
        batch: Batch,
        counts: Real[Tensor, " terms"] | None = None,
        *,
        progress: float = 0.0,
    ) -> tuple[Float[Tensor, ""], dict[str, Measured]]:
        """The loss of a batch, and each term's own part.

        Args:
            outputs: What the student said.
            batch: What it read, and its targets.
            counts: What each term's sum is divided by; None takes the rows counted in this batch. A term
                that counts nothing adds 0.
            progress: The share of training that is done.
        """
        own = self.counted(batch)
        divisors = (own if counts is None else counts).clamp(min=1)
        totals = [term(outputs, batch) for term in self.terms]
        scaled = [
            scale * total / divisor
            for scale, total, divisor in zip(self.scales(progress), totals, divisors, strict=True)
        ]
        measured = {
            term.name: Measured(total.detach(), count)
            for term, total, count in zip(self.terms, totals, own, strict=True)
        }
        return torch.stack(scaled).sum(), measured


def build_objective(
    terms: Sequence[Mapping[str, Any]], mixes: Mapping[str, Mix] = MappingProxyType({})
) -> Objective:
    """The objective of a phase, from its terms as params write them.

    A term is named after its loss (of "module:attribute" the attribute), and with its place where a name
    stands more than once.

    Args:
        terms: The terms.
        mixes: Which aliases stand for several teachers.

    Raises:
        ParamsError: Terms that cannot be obeyed, all named at once.
    """
    problems = [
        f"terms.{place}.{problem}" for place, term in enumerate(terms) for problem in term_problems(term)
    ] or [f"terms: {problem}" for problem in phase_problems(terms)]
    if not terms:
        problems = ["terms: expected at least one; got none"]
    if problems:
        raise ParamsError(
            "terms",
            expected="terms that can be obeyed",
            got="; ".join(problems),
            remedy="mend them in params",
        )
    losses = [term["loss"].split(":")[-1] for term in terms]
    repeats = Counter(losses)
    names = [loss if repeats[loss] == 1 else f"{loss}_{place}" for place, loss in enumerate(losses)]
    return Objective(
        tuple(_build_term(term, name, mixes) for term, name in zip(terms, names, strict=True)),
        tuple(WEIGHT_SCHEDULES.load(term.get(WEIGHT_SCHEDULE, CONSTANT)) for term in terms),
    )


def _build_term(term: Mapping[str, Any], name: str, mixes: Mapping[str, Mix]) -> Term:
    declaration = declaration_of(term["loss"])
    source: dict[str, Any] = {"source": term["from"]} if declaration.fields else {}
    # A term without columns reads what was chosen from all teachers when the student was bound.
    if columns_of(term) and term["from"] in mixes:
        source["mix"] = mixes[term["from"]]
    if term["loss"] == GOLD:
        source["loss"] = LOSSES.load(task_of(term).gold_loss)
    code = imported(declaration.code)
    built: Term = (around(code) if declaration.is_function else code)(
        name=name, weight=float(term.get("weight", WEIGHT.default)), **source, **options_of(term)
    )
    return built
