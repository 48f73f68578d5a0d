"""Reading a batch: one function for teachers and students of every architecture.

What comes out is packed to the passage (and question), so that nothing after it knows where an
architecture puts them among its tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from pipeline.models.capture import capture_projections
from pipeline.models.masking import OFF_PASSAGE, masked_softmax
from pipeline.models.positions import Positions
from pipeline.models.similarity import SimilarityReader


class Part(NamedTuple):
    """Logits of one softmax, and which of its classes exist; a task's loss is that of its parts."""

    name: str
    logits: Float[Tensor, "*rows classes"]
    mask: Bool[Tensor, "*rows classes"]


@dataclass(frozen=True)
class SpanOutputs:
    """Logits over passage tokens, float32; `OFF_PASSAGE` where `passage_mask` is False.

    `qa_attention` holds, for every passage token, a distribution over the question tokens.
    """

    start_logits: Float[Tensor, "batch passage"]
    end_logits: Float[Tensor, "batch passage"]
    passage_mask: Bool[Tensor, "batch passage"]
    question_mask: Bool[Tensor, "batch question"]
    qa_attention: Float[Tensor, "batch passage question"] | None = None

    @property
    def parts(self) -> tuple[Part, ...]:
        """Start and end."""
        return (
            Part("start", self.start_logits, self.passage_mask),
            Part("end", self.end_logits, self.passage_mask),
        )


@dataclass(frozen=True)
class ClassOutputs:
    """Logits of a row's classes, float32."""

    class_logits: Float[Tensor, "batch classes"]

    @property
    def parts(self) -> tuple[Part, ...]:
        """The classes, all of which exist."""
        return (Part("class", self.class_logits, torch.ones_like(self.class_logits, dtype=torch.bool)),)


Outputs = SpanOutputs | ClassOutputs


def read(
    model: nn.Module,
    inputs: Mapping[str, Tensor],
    question: Int[Tensor, "batch 2"],
    passage: Int[Tensor, "batch 2"],
    *,
    attention_layer: int | None = None,
) -> SpanOutputs:
    """Run `model` once over a padded batch.

    Args:
        model: A question-answering model of transformers or of this package, wrapped for several devices
            or not.
        inputs: What the model reads. Token types are held back from a model that has none.
        question: Token range of each row's question, half-open. May stay in host memory.
        passage: The same of its passage.
        attention_layer: The layer whose passage x question attention is wanted, None for none. A reader
            with a similarity matrix gives that, whatever the layer.

    Raises:
        ModelError: The model's attention cannot be captured, or it has no such layer.
    """
    device = inputs["input_ids"].device
    question_at, passage_at = Positions.of(question, device), Positions.of(passage, device)
    reader = _unwrapped(model)
    attention = None
    if attention_layer is None:
        outputs = run(model, inputs)
    elif isinstance(reader, SimilarityReader):
        outputs = run(model, inputs)
        attention = masked_softmax(outputs.similarity.float(), question_at.mask[:, None])
        attention = attention * passage_at.mask[:, :, None]
    else:
        with capture_projections(reader, reader.config, attention_layer) as captured:
            outputs = run(model, inputs)
        attention = captured.attention(question_at, passage_at)
    return SpanOutputs(
        start_logits=_on_passage(outputs.start_logits, passage_at),
        end_logits=_on_passage(outputs.end_logits, passage_at),
        passage_mask=passage_at.mask,
        question_mask=question_at.mask,
        qa_attention=attention,
    )


def run(model: nn.Module, inputs: Mapping[str, Tensor]) -> Any:
    """What `model` returns for a padded batch; token types are held back from a model that has none."""
    if not getattr(_unwrapped(model).config, "type_vocab_size", 0) > 1:
        inputs = {name: values for name, values in inputs.items() if name != "token_type_ids"}
    return model(**inputs)


def _on_passage(logits: Float[Tensor, "batch length"], passage: Positions) -> Float[Tensor, "batch passage"]:
    return passage.take(logits).float().masked_fill(~passage.mask, OFF_PASSAGE)


def _unwrapped(model: nn.Module) -> PreTrainedModel:
    while not isinstance(model, PreTrainedModel):
        inner = getattr(model, "module", None)
        if not isinstance(inner, torch.nn.Module):
            raise TypeError(f"{type(model).__name__} is no transformers model, nor a wrapper of one")
        model = inner
    return model
