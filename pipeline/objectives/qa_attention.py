"""The attention-distillation term: which question words a student reads each passage word against."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from pipeline.cache.mix import Mix
from pipeline.losses.qa_attention_mse import qa_attention_mse
from pipeline.models.reading import Outputs, SpanOutputs
from pipeline.objectives.members import aligned_attention
from pipeline.objectives.term import Batch, Reads, real_rows


@dataclass(frozen=True)
class QaAttention:
    """L_ATT of Hu et al. 2018, sec. 3.3: by definition a sum over passage words.

    Args:
        name: What the term is called in logs.
        source: The alias of the teacher, or of the mix.
        weight: The weight of params.
        student_layer: Where a transformer student's attention is read; a reader with a similarity matrix
            has but one.
        mix: How the teachers of a mix are weighed.
    """

    name: str
    source: str
    weight: float
    student_layer: int
    mix: Mix | None = None

    @property
    def scale(self) -> float:
        """The weight."""
        return self.weight

    @property
    def reads(self) -> Reads:
        """The student's attention across the question."""
        return Reads(attention_layer=self.student_layer)

    def counted(self, batch: Batch) -> Int[Tensor, ""]:
        """Every real row: attention needs no label."""
        return real_rows(batch).sum()

    def __call__(self, outputs: Outputs, batch: Batch) -> Float[Tensor, ""]:
        """The loss summed over counted rows, without scale."""
        if not isinstance(outputs, SpanOutputs) or outputs.qa_attention is None:
            raise ValueError(f"{self.name}: the student's attention was not read")
        aligned = aligned_attention(batch, self.source, self.mix)
        known = outputs.passage_mask & aligned.known
        total, _ = qa_attention_mse(
            outputs.qa_attention,
            aligned.attention,
            mask=known[:, :, None] & outputs.question_mask[:, None, :],
            counted=real_rows(batch),
        )
        return total
