"""Terms that compare a student's layers with its teacher's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from pipeline.losses.attention_ce import attention_ce
from pipeline.losses.attention_ce_mean import attention_ce_mean
from pipeline.losses.attention_mse import attention_mse
from pipeline.losses.attention_mse_sum import attention_mse_sum
from pipeline.losses.cos import cos
from pipeline.losses.fsp import fsp
from pipeline.losses.hidden_mse import hidden_mse
from pipeline.losses.nst import nst
from pipeline.losses.pkd import pkd
from pipeline.losses.sentence_cos import sentence_cos
from pipeline.models.reading import Outputs
from pipeline.objectives.matches import MATCHES, Held, layers_of
from pipeline.objectives.student_layers import StudentLayers
from pipeline.objectives.teacher_layers import TeacherLayers
from pipeline.objectives.term import OBSERVED, Batch, Reads, real_rows

Sum = tuple[Float[Tensor, ""], Int[Tensor, ""]]


class Comparison(NamedTuple):
    """How a loss is called, and what it counts.

    Args:
        loss: Its name.
        call: From the student's layers, the teacher's, the tokens that count and the term to sum and count.
        counts: "tokens", "pairs" of tokens of a row, or "rows".
        is_token_by_token: Whether a token that overlaps none of the teacher's does not count.
    """

    loss: str
    call: Callable[[StudentLayers, TeacherLayers, Bool[Tensor, "batch length"], "MatchTerm"], Sum]
    counts: str
    is_token_by_token: bool = True


@dataclass(frozen=True)
class MatchTerm:
    """A match of TextBrewer's: one loss between a layer, or a pair of layers, of either side.

    Args:
        comparison: The loss.
        name: What the term is called in logs.
        source: The alias of the teacher.
        weight: The weight of params.
        fields: The fields that the teacher's side is made from, with their options.
        student_layer: The student's layer or pair: 0 is the embedding output, k that of block k. Of attention
            the block, from 0. None where the pooler's output is compared.
        teacher_layer: The same of the teacher; None where the cached field says it.
        projection: What brings the student's states to the teacher's width, as params write it.
        projected: The module made of it.
        student_pooling: How the student's states become one vector: "first", "mean" or "pooler".
    """

    comparison: Comparison
    name: str
    source: str
    weight: float
    fields: Held
    student_layer: int | list[int] | None
    teacher_layer: int | list[int] | None = None
    projection: Mapping[str, Any] | None = None
    projected: nn.Module | None = None
    student_pooling: str = "first"

    @property
    def scale(self) -> float:
        """The weight."""
        return self.weight

    @property
    def reads(self) -> Reads:
        """The student's layers."""
        layers = frozenset(layers_of(self.student_layer))
        if self._match.of_blocks:
            return Reads(attention=layers)
        return Reads(hidden=layers, pooled=self.student_pooling == "pooler")

    def counted(self, batch: Batch) -> Int[Tensor, ""]:
        """How many tokens, pairs of tokens or rows are compared."""
        tokens = self._mask(batch).sum(dim=1)
        counts = {"tokens": tokens, "pairs": tokens.square(), "rows": (tokens > 0).long()}
        return counts[self.comparison.counts].sum()

    def __call__(self, outputs: Outputs, batch: Batch) -> Float[Tensor, ""]:
        """The loss summed over what is counted, without scale."""
        student = StudentLayers(batch[OBSERVED], self._layers(self.student_layer), self.projected)
        total, _ = self.comparison.call(student, self._teacher(batch), self._mask(batch), self)
        return total

    @property
    def _match(self) -> Any:
        return MATCHES[self.comparison.loss]

    def _layers(self, written: int | list[int] | None) -> tuple[int, ...]:
        layers = layers_of(written)
        return layers * 2 if self._match.layers == 2 and len(layers) == 1 else layers

    def _teacher(self, batch: Batch) -> TeacherLayers:
        return TeacherLayers(batch["targets"][self.source], self._layers(self.teacher_layer), self.fields)

    def _mask(self, batch: Batch) -> Bool[Tensor, "batch length"]:
        """The student's tokens in real rows, special ones included."""
        mask: Tensor = batch["inputs"]["attention_mask"].bool() & real_rows(batch).unsqueeze(1)
        known = self._teacher(batch).known() if self.comparison.is_token_by_token else None
        return mask if known is None else mask & known


ATTENTION_CE = partial(
    MatchTerm,
    Comparison(
        "attention_ce", lambda s, t, mask, _: attention_ce(s.scores(), t.scores(), mask=mask), "tokens"
    ),
)
ATTENTION_CE_MEAN = partial(
    MatchTerm,
    Comparison(
        "attention_ce_mean",
        lambda s, t, mask, _: attention_ce_mean(s.scores(), t.score_mean(), mask=mask),
        "tokens",
    ),
)
ATTENTION_MSE = partial(
    MatchTerm,
    Comparison(
        "attention_mse", lambda s, t, mask, _: attention_mse(s.scores(), t.scores(), mask=mask), "pairs"
    ),
)
ATTENTION_MSE_SUM = partial(
    MatchTerm,
    Comparison(
        "attention_mse_sum",
        lambda s, t, mask, _: attention_mse_sum(s.scores(), t.score_sum(), mask=mask),
        "pairs",
    ),
)
COS = partial(
    MatchTerm, Comparison("cos", lambda s, t, mask, _: cos(s.hidden(), t.unit(), mask=mask), "tokens")
)
FSP = partial(
    MatchTerm,
    Comparison(
        "fsp",
        lambda s, t, mask, _: fsp(s.hidden(), t.fsp(), mask=mask, student_other=s.other()),
        "rows",
        is_token_by_token=False,
    ),
)
HIDDEN_MSE = partial(
    MatchTerm,
    Comparison("hidden_mse", lambda s, t, mask, _: hidden_mse(s.hidden(), t.hidden(), mask=mask), "tokens"),
)
NST = partial(
    MatchTerm,
    Comparison(
        "nst", lambda s, t, mask, _: nst(s.hidden(), t.gram(), mask=mask, student_other=s.other()), "pairs"
    ),
)
PKD = partial(
    MatchTerm,
    Comparison(
        "pkd",
        lambda s, t, mask, _: pkd(s.hidden(), t.first_token(), counted=mask.any(dim=1)),
        "rows",
        is_token_by_token=False,
    ),
)
SENTENCE_COS = partial(
    MatchTerm,
    Comparison(
        "sentence_cos",
        lambda s, t, mask, term: sentence_cos(
            s.sentence(term.student_pooling, mask), t.sentence(), counted=mask.any(dim=1)
        ),
        "rows",
        is_token_by_token=False,
    ),
)
