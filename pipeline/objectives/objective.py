"""What a student minimises: the sum of its terms, each a scale times a mean over counted rows."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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
    DECLARATIONS,
    GOLD,
    TERMS,
    WEIGHT,
    columns_of,
    options_of,
    phase_problems,
    reads_source,
    task_of,
    term_problems,
)
from pipeline.objectives.expansion import expanded
from pipeline.objectives.term import Batch, Term


class Measured(NamedTuple):
    """A term on one batch: its sum without scale, off the graph, and the rows counted."""

    total: Float[Tensor, ""]
    rows: Int[Tensor, ""]


@dataclass(frozen=True)
class Objective:
    """The sum of terms.

    Args:
        terms: The terms.
        sources: Of each term, the numbers of the sources whose rows it counts; None for all.
    """

    terms: tuple[Term, ...]
    sources: tuple[frozenset[int] | None, ...]

    @property
    def attention_layer(self) -> int | None:
        """The layer to read the student's attention at, None where no term wants it."""
        return next((term.attention_layer for term in self.terms if term.attention_layer is not None), None)

    def counted(self, batch: Batch) -> Int[Tensor, " terms"]:
        """How many rows of a batch each term counts.

        Summed over the batches and ranks of an optimizer step, these `counts` make its loss exact.
        """
        return torch.stack(
            [
                term.counted(seen) if seen else batch["counted"].new_zeros((), dtype=torch.int64)
                for term, seen in self._seen(batch)
            ]
        )

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
        totals = [
            term(outputs, seen) if seen else outputs.parts[0].logits[:0].sum()  # a zero with a graph
            for term, seen in self._seen(batch)
        ]
        scaled = [
            term.scale * total / divisor
            for term, total, divisor in zip(self.terms, totals, divisors, strict=True)
        ]
        measured = {
            term.name: Measured(total.detach(), count)
            for term, total, count in zip(self.terms, totals, own, strict=True)
        }
        return torch.stack(scaled).sum(), measured

    def _seen(self, batch: Batch) -> Iterator[tuple[Term, Batch | None]]:
        """Each term, and the batch with the rows that it counts; None where it has none of its sources'."""
        for term, sources in zip(self.terms, self.sources, strict=True):
            yield term, batch if sources is None else _of_sources(batch, sources)


def _of_sources(batch: Batch, sources: frozenset[int]) -> Batch | None:
    present = sources.intersection(batch["sources"])
    if not present:
        return None
    wanted = torch.stack([batch["source"] == source for source in sorted(present)]).any(dim=0)
    return {**batch, "counted": batch["counted"] & wanted}


def build_objective(
    terms: Sequence[Mapping[str, Any]],
    mixes: Mapping[str, Mix] = MappingProxyType({}),
    sources: Sequence[str] = (),
) -> Objective:
    """The objective of a phase, from its terms as params write them.

    A term is named after its loss, and with its place where a loss stands more than once.

    Args:
        terms: The terms.
        mixes: Which aliases stand for several teachers.
        sources: The phase's sources, `<data set>.<split>` each.

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
    single = expanded(terms)
    repeats = Counter(term["loss"] for term in single)
    names = [
        term["loss"] if repeats[term["loss"]] == 1 else f"{term['loss']}_{term['place']}" for term in single
    ]
    return Objective(
        tuple(_build_term(term, name, mixes) for term, name in zip(single, names, strict=True)),
        tuple(_counted_sources(term, sources) for term in single),
    )


def _counted_sources(term: Mapping[str, Any], sources: Sequence[str]) -> frozenset[int] | None:
    counted = frozenset(number for number, source in enumerate(sources) if reads_source(term, source))
    return counted if len(counted) < len(sources) else None


def _build_term(term: Mapping[str, Any], name: str, mixes: Mapping[str, Mix]) -> Term:
    declaration = DECLARATIONS[term["loss"]]
    source: dict[str, Any] = {"source": term["from"]} if declaration.fields else {}
    # A term without columns reads what was chosen from all teachers when the student was bound.
    if columns_of(term) and term["from"] in mixes:
        source["mix"] = mixes[term["from"]]
    if term["loss"] == GOLD:
        source["loss"] = LOSSES.load(task_of(term).gold_loss)
    built: Term = TERMS.load(term["loss"])(
        name=name, weight=float(term.get("weight", WEIGHT.default)), **source, **options_of(term)
    )
    return built
