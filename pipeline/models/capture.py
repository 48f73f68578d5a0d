"""The passage x question attention of one encoder layer, while the model runs its fast attention.

Fast kernels give no attention map, and a full map of every head is far more than is wanted. The block is
worked out from the layer's query and key projections, which forward hooks pick up on their way.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PretrainedConfig

from pipeline.errors import ModelError
from pipeline.models.masking import masked_softmax
from pipeline.models.output_map import layer_modules, maps
from pipeline.models.positions import Positions

# Encoders whose scores are query . key / sqrt(head width) and nothing else, by transformers' model type,
# with the names of the two projections in their attention modules.
PROJECTIONS = {
    "albert": ("query", "key"),
    "bert": ("query", "key"),
    "camembert": ("query", "key"),
    "distilbert": ("q_lin", "k_lin"),
    "electra": ("query", "key"),
    "multi_head_bert": ("query", "key"),
    "roberta": ("query", "key"),
    "xlm-roberta": ("query", "key"),
}


@dataclass
class Projections:
    """What the hooks of one forward pass fill in."""

    num_heads: int
    query: Float[Tensor, "batch length width"] | None = None
    key: Float[Tensor, "batch length width"] | None = None

    def attention(self, question: Positions, passage: Positions) -> Float[Tensor, "batch passage question"]:
        """`qa_attention` of the pass that has just run."""
        if self.query is None or self.key is None:
            raise RuntimeError("the model has not run inside capture_projections")
        return qa_attention(self.query, self.key, question, passage, num_heads=self.num_heads)


@contextmanager
def capture_projections(model: nn.Module, config: PretrainedConfig, layer: int) -> Iterator[Projections]:
    """Pick up the query and key projections of encoder layer `layer` in the next forward pass.

    Args:
        model: An encoder with a head, wrapped or not.
        config: The encoder's configuration.
        layer: Counted from 0 at the input, or from -1 at the output.

    Raises:
        ModelError: The architecture is unknown, or it has no such layer.
    """
    if not has_projections(config):
        raise ModelError(
            f"model of type {config.model_type!r}",
            expected=f"an encoder whose attention can be captured ({', '.join(sorted(PROJECTIONS))})",
            got=repr(config.model_type),
            remedy="use another model, or leave the attention field or term out: hidden states and logits"
            " can be captured",
        )
    wanted = layer_index(config, layer)
    captured = Projections(config.num_attention_heads)
    handles = [
        module.register_forward_hook(hook)
        for side, modules in _projections(model, config).items()
        for hook in [_store(captured, side, wanted)]
        for module in modules
    ]
    try:
        yield captured
    finally:
        for handle in handles:
            handle.remove()


def has_projections(config: PretrainedConfig) -> bool:
    """Whether it is known where a model keeps its queries and keys."""
    return config.model_type in PROJECTIONS or maps(config, "queries")


def _projections(model: nn.Module, config: PretrainedConfig) -> dict[str, list[nn.Module]]:
    """The modules that give queries, and those that give keys."""
    if maps(config, "queries"):
        return {"query": layer_modules(model, "queries"), "key": layer_modules(model, "keys")}
    names = dict(zip(("query", "key"), PROJECTIONS[config.model_type], strict=True))
    attentions = [
        module for module in model.modules() if {*names.values()} <= dict(module.named_children()).keys()
    ]
    return {side: [getattr(module, name) for module in attentions] for side, name in names.items()}


def layer_index(config: PretrainedConfig, layer: int) -> int:
    """`layer` counted from the input.

    Raises:
        ModelError: The encoder has no such layer.
    """
    count: int = config.num_hidden_layers
    if not -count <= layer < count:
        raise ModelError(
            f"attention layer {layer}",
            expected=f"a layer from {-count} to {count - 1}, the model has {count}",
            got=str(layer),
            remedy="name a layer that the model has (-1 is the last)",
        )
    return layer % count


def _store(captured: Projections, name: str, wanted: int) -> Callable[[nn.Module, Any, Tensor], None]:
    # Layers are told apart by the order in which they run: encoders that share weights between layers
    # (ALBERT) run one module many times.
    calls = 0

    def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
        nonlocal calls
        if calls == wanted:
            setattr(captured, name, output)
        calls += 1

    return hook


def qa_attention(
    query: Float[Tensor, "batch length width"],
    key: Float[Tensor, "batch length width"],
    question: Positions,
    passage: Positions,
    *,
    num_heads: int,
) -> Float[Tensor, "batch passage question"]:
    """For every passage token, its attention over the question tokens alone, mean over heads.

    Source: Hu et al. 2018, arXiv:1808.07644, sec. 3.3, whose D_j is a row of the result.
    Differs: their readers have a similarity matrix; this is the stand-in for a transformer encoder.

    Returns: Float32. A row sums to 1, or to 0 where it is padding.
    """
    with torch.autocast(query.device.type, enabled=False):
        asking, asked = _heads(query.float(), num_heads), _heads(question.take(key).float(), num_heads)
        # (batch, heads, question, length): a softmax over a few numbers side by side is 15 times slower.
        scores = asked @ asking.transpose(2, 3) * asking.shape[3] ** -0.5
        attention = masked_softmax(scores, question.mask[:, None, :, None], dim=2).mean(1)
        return passage.take(attention.transpose(1, 2)) * passage.mask[:, :, None]


def _heads(values: Float[Tensor, "batch length width"], num_heads: int) -> Tensor:
    batch, length, width = values.shape
    return values.view(batch, length, num_heads, width // num_heads).transpose(1, 2)
