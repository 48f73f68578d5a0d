"""The attention-distillation term: which question words a student reads each passage word against."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from pipeline.losses.qa_attention_mse import qa_attention_mse
from pipeline.models.reading import SpanOutputs
from pipeline.objectives.attention import align_attention
from pipeline.objectives.term import Batch, real_rows


@dataclass(frozen=True)
class QaAttention:
    """L_ATT of Hu et al. 2018, sec. 3.3: by definition a sum over passage words.

    Args:
        name: What the term is called in logs.
        source: The teacher's alias in the batch.
        weight: The weight of params.
        student_layer: Where a transformer student's attention is read; a reader with a similarity matrix
            has but one.
    """

    name: str
    source: str
    weight: float
    student_layer: int

    @property
    def scale(self) -> float:
        """The weight."""
        return self.weight

    @property
    def attention_layer(self) -> int:
        """The layer to read the student's attention at."""
        return self.student_layer

    def counted(self, batch: Batch) -> Int[Tensor, ""]:
        """Every real row: attention needs no label."""
        return real_rows(batch).sum()

    def __call__(self, outputs: SpanOutputs, batch: Batch) -> Float[Tensor, ""]:
        """The loss summed over counted rows, without scale."""
        if outputs.qa_attention is None:
            raise ValueError(f"{self.name}: the student was read without attention_layer")
        targets = batch["targets"][self.source]
        aligned = align_attention(
            targets["qa_attention"],
            teacher_passage=targets["passage_offsets"],
            teacher_question=targets["question_offsets"],
            student_passage=batch["passage_offsets"],
            student_question=batch["question_offsets"],
        )
        known = outputs.passage_mask & aligned.known
        total, _ = qa_attention_mse(
            outputs.qa_attention,
            aligned.attention,
            mask=known[:, :, None] & outputs.question_mask[:, None, :],
            counted=real_rows(batch),
        )
        return total
