"""From what a teacher computed to the columns of a target field: one function a field.

The names are those of `pipeline.cache.fields`, which says how a column is stored. A function whose numbers
change must raise the field's `numerics` version there.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from pipeline.models.reading import SpanOutputs
from pipeline.registry import Table
from pipeline.tasks.span import best_spans

CAPTURES = Table(
    "target field",
    {
        "span_logits": "pipeline.inference.captures:span_logits",
        "top_spans": "pipeline.inference.captures:top_spans",
        "qa_attention": "pipeline.inference.captures:qa_attention",
    },
)


def span_logits(outputs: SpanOutputs, options: Mapping[str, Any]) -> dict[str, Tensor]:
    """Raw logits of every passage token to be the first and the last of the answer."""
    return {"start_logits": outputs.start_logits, "end_logits": outputs.end_logits}


def top_spans(outputs: SpanOutputs, options: Mapping[str, Any]) -> dict[str, Tensor]:
    """The k best spans with their log-probabilities; -1, -1 fills up a row with fewer."""
    spans = best_spans(outputs.start_logits, outputs.end_logits, outputs.passage_mask, k=options["k"])
    return {"top_starts": spans.starts, "top_ends": spans.ends, "top_log_probs": spans.log_probs}


def qa_attention(outputs: SpanOutputs, options: Mapping[str, Any]) -> dict[str, Tensor]:
    """Each passage token's distribution over the question's tokens, in the layer that was read."""
    assert outputs.qa_attention is not None, "read() is asked for attention where this field is"
    return {"qa_attention": outputs.qa_attention}
