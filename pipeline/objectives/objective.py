"""What a student minimises: the sum of its terms, each a scale times a mean over counted rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int, Real
from torch import Tensor, nn

from pipeline.cache.mix import Mix
from pipeline.errors import ParamsError
from pipeline.losses import LOSSES
from pipeline.models.reading import HeadOutputs, Outputs
from pipeline.objectives.declarations import GOLD, MATCH, WEIGHT, WEIGHT_SCHEDULE, declaration_of
from pipeline.objectives.expansion import HEAD, expanded
from pipeline.objectives.matches import Held
from pipeline.objectives.names import term_names
from pipeline.objectives.needs import columns_of, fields_of, options_of, reads_source, task_of
from pipeline.objectives.problems import phase_problems, term_problems
from pipeline.objectives.projection import build_projection
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
class Summand:
    """A term as a phase uses it.

    Args:
        term: The term.
        schedule: What its scale is multiplied by at a share of training done, from 0 to 1.
        sources: The numbers of the sources whose rows it counts; None for all.
        head: The student's head that it is about; None where the student has but one output.
    """

    term: Term
    schedule: Schedule
    sources: frozenset[int] | None
    head: str | None

    def scale(self, progress: float) -> float:
        """What the term's mean is multiplied by when `progress` of training, from 0 to 1, is done."""
        return self.term.scale * self.schedule(progress)

    def counted(self, batch: Batch) -> Int[Tensor, ""]:
        """How many rows the term counts."""
        seen = self._seen(batch)
        return batch["counted"].new_zeros((), dtype=torch.int64) if seen is None else self.term.counted(seen)

    def total(self, outputs: Outputs | HeadOutputs, batch: Batch) -> Float[Tensor, ""]:
        """The term's loss summed over counted rows; a zero with a graph where it has none."""
        seen = self._seen(batch)
        if seen is None:
            return outputs.parts[0].logits[:0].sum()
        return self.term(outputs.of(self.head) if isinstance(outputs, HeadOutputs) else outputs, seen)

    def is_about(self, batch: Batch) -> bool:
        """Whether a batch has rows of the term's sources."""
        return self.sources is None or not self.sources.isdisjoint(batch["sources"])

    def _seen(self, batch: Batch) -> Batch | None:
        """The batch, in which rows of other sources do not count; None where it has none of the term's."""
        if self.sources is None:
            return batch
        if not self.is_about(batch):
            return None
        present = sorted(self.sources.intersection(batch["sources"]))
        wanted = torch.stack([batch["source"] == source for source in present]).any(dim=0)
        return {**batch, "counted": batch["counted"] & wanted}


@dataclass(frozen=True)
class Objective:
    """The sum of terms."""

    summands: tuple[Summand, ...]

    @property
    def terms(self) -> tuple[Term, ...]:
        """The terms, in the order of everything that is given for each."""
        return tuple(summand.term for summand in self.summands)

    @property
    def reads(self) -> Reads:
        """What the terms read of the student beside the outputs of its task."""
        every = [term.reads for term in self.terms]
        return Reads(
            next((reads.attention_layer for reads in every if reads.attention_layer is not None), None),
            frozenset().union(*(reads.hidden for reads in every)),
            frozenset().union(*(reads.attention for reads in every)),
            any(reads.pooled for reads in every),
        )

    @property
    def projections(self) -> dict[str, nn.Module]:
        """What is trained beside the student, by the terms' names."""
        every = ((term.name, getattr(term, "projected", None)) for term in self.terms)
        return {name: module for name, module in every if isinstance(module, nn.Module)}

    def heads(self, batch: Batch) -> list[str]:
        """The student's heads whose outputs the terms read of a batch."""
        found = (summand.head for summand in self.summands if summand.is_about(batch))
        return list(dict.fromkeys(head for head in found if head is not None))

    def scales(self, progress: float) -> list[float]:
        """What each term's mean is multiplied by when `progress` of training, from 0 to 1, is done."""
        return [summand.scale(progress) for summand in self.summands]

    def counted(self, batch: Batch) -> Int[Tensor, " terms"]:
        """How many rows of a batch each term counts.

        Summed over the batches and ranks of an optimizer step, these `counts` make its loss exact.
        """
        return torch.stack([summand.counted(batch) for summand in self.summands])

    def __call__(
        self,
        outputs: Outputs | HeadOutputs,
        batch: Batch,
        counts: Real[Tensor, " terms"] | None = None,
        *,
        progress: float = 0.0,
    ) -> tuple[Float[Tensor, ""], dict[str, Measured]]:
        """The loss of a batch, and each term's own part.

        Args:
            outputs: What the student said; of a student with heads, of those that `heads` names.
            batch: What it read, and its targets.
            counts: What each term's sum is divided by; None takes the rows counted in this batch. A term
                that counts nothing adds 0.
            progress: The share of training that is done.
        """
        own = self.counted(batch)
        divisors = (own if counts is None else counts).clamp(min=1)
        totals = [summand.total(outputs, batch) for summand in self.summands]
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
    terms: Sequence[Mapping[str, Any]],
    mixes: Mapping[str, Mix] = MappingProxyType({}),
    sources: Sequence[str] = (),
    heads: Mapping[str, str] = MappingProxyType({}),
    held: Mapping[str, Held] = MappingProxyType({}),
    *,
    seed: int = 0,
) -> Objective:
    """The objective of a phase, from its terms as params write them.

    Terms are named by `term_names`.

    Args:
        terms: The terms.
        mixes: Which aliases stand for several teachers.
        sources: The phase's sources, `<data set>.<split>` each.
        heads: The task of each of the student's heads, by its name; none where it has one output.
        held: By alias, the fields that the target sets hold, with their options; for matches.
        seed: Of the first weights of projections.

    Raises:
        ParamsError: Terms that cannot be obeyed, all named at once.
    """
    problems = [
        f"terms.{place}.{problem}"
        for place, term in enumerate(terms)
        for problem in term_problems(term, heads)
    ] or [f"terms: {problem}" for problem in phase_problems(terms, heads)]
    if not terms:
        problems = ["terms: expected at least one; got none"]
    if problems:
        raise ParamsError(
            "terms",
            expected="terms that can be obeyed",
            got="; ".join(problems),
            remedy="mend them in params",
        )
    generator = torch.Generator().manual_seed(seed)
    singles = expanded(terms, heads)
    return Objective(
        tuple(
            Summand(
                _build_term(term, name, mixes, held, generator),
                WEIGHT_SCHEDULES.load(term.get(WEIGHT_SCHEDULE, CONSTANT)),
                _counted_sources(term, sources),
                term.get(HEAD),
            )
            for term, name in zip(singles, term_names(singles), strict=True)
        )
    )


def _counted_sources(term: Mapping[str, Any], sources: Sequence[str]) -> frozenset[int] | None:
    counted = frozenset(number for number, source in enumerate(sources) if reads_source(term, source))
    return counted if len(counted) < len(sources) else None


def _build_term(
    term: Mapping[str, Any],
    name: str,
    mixes: Mapping[str, Mix],
    held: Mapping[str, Held],
    generator: torch.Generator,
) -> Term:
    declaration = declaration_of(term["loss"])
    source: dict[str, Any] = {"source": term["from"]} if declaration.fields else {}
    # A term without columns reads what was chosen from all teachers when the student was bound.
    if columns_of(term) and term["from"] in mixes:
        source["mix"] = mixes[term["from"]]
    if term["loss"] == GOLD:
        source["loss"] = LOSSES.load(str(task_of(term).gold_loss))
    if MATCH in declaration.fields:
        of_set = held.get(term["from"], {})
        source["fields"] = {name: of_set.get(name, {}) for name in fields_of(term, of_set)}
        if term.get("projection") is not None:
            source["projected"] = build_projection(term["projection"], generator)
    code = imported(declaration.code)
    built: Term = (around(code) if declaration.is_function else code)(
        name=name, weight=float(term.get("weight", WEIGHT.default)), **source, **options_of(term)
    )
    return built
