"""Target fields of a teacher's layers, each the exact quantity that a loss depends on.

A function returns the tensors of its field's columns, in their order, in float32, padded as the batch is.
Padding is in them, and cut off where rows are unpacked; sums over tokens leave it out. Names are those of
`pipeline.cache.fields`. A function whose numbers change must raise the field's `numerics` there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pipeline.errors import ModelError
from pipeline.models.observing import Observed
from pipeline.models.reading import SpanOutputs
from pipeline.models.triangle import pack_triangle

Options = Mapping[str, Any]
States = Float[Tensor, "batch length width"]


@dataclass(frozen=True)
class Reading:
    """What is known of a batch once the teacher has read it.

    Args:
        span: The logits over the passage, where they were asked for.
        observed: What was picked up on the way.
        mask: The tokens of each row, special ones included.
        starts: The passage token where each row's gold answer starts, -1 for none, where it was asked for.
    """

    span: SpanOutputs | None
    observed: Observed
    mask: Bool[Tensor, "batch length"]
    starts: Int[Tensor, " batch"] | None = None

    def hidden(self, layer: int) -> States:
        """Hidden states of a layer, in float32."""
        return self.observed.hidden[layer].float()


def hidden_states(reading: Reading, options: Options) -> tuple[Tensor, ...]:
    """The layer's output for every token."""
    return (reading.hidden(options["layer"]),)


def unit_vectors(reading: Reading, options: Options) -> tuple[Tensor, ...]:
    """The layer's output for every token, over its norm: all that a cosine depends on."""
    return (torch.nn.functional.normalize(reading.hidden(options["layer"]), dim=-1),)


def first_token(reading: Reading, options: Options) -> tuple[Tensor, ...]:
    """The layer's output for the first token, over its norm where `unit` says so."""
    first = reading.observed.hidden[options["layer"]][:, 0].float()
    return (torch.nn.functional.normalize(first, dim=-1) if options["unit"] else first,)


def sentence_vector(reading: Reading, options: Options) -> tuple[Tensor, ...]:
    """One vector a row: of the first token, the mean over all, or the pooler's."""
    if options["pooling"] == "pooler":
        assert reading.observed.pooled is not None, "observe() is asked for it where this field is"
        return (reading.observed.pooled.float(),)
    states = reading.hidden(options["layer"])
    if options["pooling"] == "first":
        return (states[:, 0],)
    mask = reading.mask[:, :, None].float()
    return ((states * mask).sum(1) / mask.sum(1),)


def gram(reading: Reading, options: Options) -> tuple[Tensor, ...]:
    """X Y^T / width (Huang and Wang 2017, arXiv:1707.01219), packed where X is Y."""
    x, y = (reading.hidden(layer) for layer in options["layers"])
    products = x @ y.transpose(1, 2) / x.shape[2]
    return (pack_triangle(products) if options["layers"][0] == options["layers"][1] else products,)


def fsp(reading: Reading, options: Options) -> tuple[Tensor, ...]:
    """X^T Y / tokens (Yim et al. 2017), packed where X is Y; or X and Y where they are smaller."""
    same = options["layers"][0] == options["layers"][1]
    states = tuple(reading.hidden(layer) for layer in options["layers"])
    if options["store"] == "hidden_states":
        return states[:1] if same else states
    x, y = states
    mask = reading.mask[:, :, None].float()
    products = (x * mask).transpose(1, 2) @ y / mask.sum(1, keepdim=True)
    return (pack_triangle(products) if same else products,)


def attention_scores(reading: Reading, options: Options) -> tuple[Tensor, ...]:
    """Scores before the softmax, query . key / sqrt(head width), without any mask: a head, or sum or mean."""
    query, key = _projections(reading, options)
    num_heads: int = options["num_heads"]
    scale = (query.shape[2] // num_heads) ** -0.5
    if options["heads"] == "each":
        return (_by_head(query, num_heads) @ _by_head(key, num_heads).transpose(2, 3) * scale,)
    # Heads stand side by side, so the product over all of the width is the sum over heads.
    total = query @ key.transpose(1, 2) * scale
    return (total if options["heads"] == "sum" else total / num_heads,)


def attention_qk(reading: Reading, options: Options) -> tuple[Tensor, ...]:
    """Queries and keys of all heads side by side; the queries are not scaled."""
    return _projections(reading, options)


def class_logits(reading: Reading, options: Options) -> tuple[Tensor, ...]:
    """Raw logits of every class for the row."""
    return (_logits(reading, 2),)


def token_logits(reading: Reading, options: Options) -> tuple[Tensor, ...]:
    """Raw logits of every class for every token."""
    return (_logits(reading, 3),)


def _projections(reading: Reading, options: Options) -> tuple[Tensor, ...]:
    return tuple(part.float() for part in reading.observed.projections(options["layer"]))


def _by_head(values: States, num_heads: int) -> Float[Tensor, "batch heads length part"]:
    batch, length, width = values.shape
    return values.view(batch, length, num_heads, width // num_heads).transpose(1, 2)


def _logits(reading: Reading, axes: int) -> Tensor:
    logits: Tensor | None = getattr(reading.observed.output, "logits", None)
    if logits is None or logits.ndim != axes:
        raise ModelError(
            f"teacher, {type(reading.observed.output).__name__}",
            expected=f"logits with {axes} axes",
            got="none" if logits is None else f"shape {tuple(logits.shape)}",
            remedy="leave the field out, or use a teacher with such a head",
        )
    return logits.float()
