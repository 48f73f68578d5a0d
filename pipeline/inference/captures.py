"""From what a teacher computed to the columns of a target field: one function a field.

The names are those of `pipeline.cache.fields`, which says how a column is stored. A function returns the
tensors of its field's columns, in their order; one whose numbers change must raise the field's `numerics`
version there.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from pipeline.errors import ModelError
from pipeline.inference.layer_captures import Reading
from pipeline.models.reading import SpanOutputs
from pipeline.registry import Table
from pipeline.tasks.span import NUM_STARTS, find_spans

CAPTURES = Table(
    "target field",
    {
        "span_logits": "pipeline.inference.captures:span_logits",
        "null_logits": "pipeline.inference.captures:null_logits",
        "top_spans": "pipeline.inference.captures:top_spans",
        "qa_attention": "pipeline.inference.captures:qa_attention",
        "end_rows": "pipeline.inference.captures:end_rows",
        "top_end_rows": "pipeline.inference.captures:top_end_rows",
        "class_logits": "pipeline.inference.layer_captures:class_logits",
        "token_logits": "pipeline.inference.layer_captures:token_logits",
        "hidden_states": "pipeline.inference.layer_captures:hidden_states",
        "unit_vectors": "pipeline.inference.layer_captures:unit_vectors",
        "first_token": "pipeline.inference.layer_captures:first_token",
        "sentence_vector": "pipeline.inference.layer_captures:sentence_vector",
        "gram": "pipeline.inference.layer_captures:gram",
        "fsp": "pipeline.inference.layer_captures:fsp",
        "attention_scores": "pipeline.inference.layer_captures:attention_scores",
        "attention_qk": "pipeline.inference.layer_captures:attention_qk",
    },
)


def span_logits(reading: Reading, options: Mapping[str, Any]) -> tuple[Tensor, ...]:
    """Raw logits of every passage token to be the first and the last of the answer.

    Of a two-step reader the last ones are those given its own best start.
    """
    outputs = _span(reading)
    return outputs.start_logits, outputs.own_end_logits


def null_logits(reading: Reading, options: Mapping[str, Any]) -> tuple[Tensor, ...]:
    """The start and the end logit of the first token, at which a teacher says that there is no answer."""
    logits = _span(reading).null_logits
    if logits is None:
        raise ModelError(
            "fields.null_logits",
            expected="a teacher that reads a special token before the question, as BERT does",
            got="one with logits of the passage alone",
            remedy="leave the field out",
        )
    return (logits,)


def top_spans(reading: Reading, options: Mapping[str, Any]) -> tuple[Tensor, ...]:
    """The k best spans with their log-probabilities; -1, -1 fills up a row with fewer."""
    spans = find_spans(_span(reading), k=options["k"], beam=max(options["k"], NUM_STARTS))
    return spans.starts, spans.ends, spans.log_probs


def qa_attention(reading: Reading, options: Mapping[str, Any]) -> tuple[Tensor, ...]:
    """Each passage token's distribution over the question's tokens, in the layer that was read."""
    attention = _span(reading).qa_attention
    assert attention is not None, "read() is asked for attention where this field is"
    return (attention,)


def end_rows(reading: Reading, options: Mapping[str, Any]) -> tuple[Tensor, ...]:
    """The gold start, -1 for none, and the raw end logits given it (Hu et al. 2018, sec. 3.1: q2(l|k))."""
    assert reading.starts is not None, "the teacher is told of gold answers where this field is"
    return reading.starts[:, None], _span(reading).end_logits[:, None]


def top_end_rows(reading: Reading, options: Mapping[str, Any]) -> tuple[Tensor, ...]:
    """The teacher's own k best starts, -1 where a row has fewer, and the raw end logits given each."""
    outputs = _span(reading)
    assert outputs.best_starts is not None, "read() is asked for them where this field is"
    assert outputs.best_end_logits is not None, "they come with their starts"
    return outputs.best_starts[:, : options["k"]], outputs.best_end_logits[:, : options["k"]]


def _span(reading: Reading) -> SpanOutputs:
    assert reading.span is not None, "the passage is read where this field is"
    return reading.span
