"""What a student minimises: the sum of its terms, each a scale times a mean over counted rows."""

from collections import Counter
from collections.abc import Mapping, Sequence
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
    columns_of,
    declaration_of,
    options_of,
    phase_problems,
    task_of,
    term_problems,
)
from pipeline.objectives.soft_targets import around
from pipeline.objectives.term import Batch, Term
from pipeline.registry import imported


class Measured(NamedTuple):
    """A term on one batch: its sum without scale, off the graph, and the rows counted."""

    total: Float[Tensor, ""]
    rows: Int[Tensor, ""]


@dataclass(frozen=True)
class Objective:
    """The sum of terms."""

    terms: tuple[Term, ...]

    @property
    def attention_layer(self) -> int | None:
        """The layer to read the student's attention at, None where no term wants it."""
        return next((term.attention_layer for term in self.terms if term.attention_layer is not None), None)

    def counted(self, batch: Batch) -> Int[Tensor, " terms"]:
        """How many rows of a batch each term counts.

        Summed over the batches and ranks of an optimizer step, these `counts` make its loss exact.
        """
        return torch.stack([term.counted(batch) for term in self.terms])

    def __call__(
        self, outputs: Outputs, batch: Batch, counts: Real[Tensor, " terms"] | None = None
    ) -> tuple[Float[Tensor, ""], dict[str, Measured]]:
        """The loss of a batch, and each term's own part.

        Args:
            outputs: What the student said.
            batch: What it read, and its targets.
            counts: What each term's sum is divided by; None takes the rows counted in this batch. A term
                that counts nothing adds 0.
        """
        own = self.counted(batch)
        divisors = (own if counts is None else counts).clamp(min=1)
        totals = [term(outputs, batch) for term in self.terms]
        scaled = [
            term.scale * total / divisor
            for term, total, divisor in zip(self.terms, totals, divisors, strict=True)
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
    return Objective(tuple(_build_term(term, name, mixes) for term, name in zip(terms, names, strict=True)))


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
