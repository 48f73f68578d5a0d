"""What happens inside an encoder during a forward pass, picked up by hooks on the wanted layers alone.

Hidden states: layer 0 is the embedding output, layer k the output of block k. Queries and keys: blocks, from
0. Layers are told apart by the order in which they run: encoders that share weights between layers (ALBERT)
run one module many times. Of an encoder whose blocks are not known here, hidden states are what the model
itself returns when it is asked for all of them.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel

from pipeline.errors import ModelError
from pipeline.models.capture import Projections, capture_projections
from pipeline.models.output_map import adapted, layer_modules, map_of, maps, tensor_of
from pipeline.models.similarity import SimilarityReader

# Where the blocks of an encoder stand in its base model, by transformers' model type.
BLOCKS = {
    "albert": "encoder.albert_layer_groups",
    "bert": "encoder.layer",
    "camembert": "encoder.layer",
    "distilbert": "transformer.layer",
    "electra": "encoder.layer",
    "multi_head_bert": "encoder.layer",
    "roberta": "encoder.layer",
    "xlm-roberta": "encoder.layer",
}


@dataclass
class Observed:
    """What a forward pass inside `observe` has shown, as the model computed it.

    Args:
        hidden: Hidden states by layer.
        attention: Query and key projections by block.
        pooled: The pooler's output, where it was asked for.
        output: What the model returned.
    """

    hidden: dict[int, Tensor] = field(default_factory=dict)
    attention: dict[int, Projections] = field(default_factory=dict)
    pooled: Tensor | None = None
    output: Any = None

    def projections(
        self, block: int
    ) -> tuple[Float[Tensor, "batch length width"], Float[Tensor, "batch length width"]]:
        """The queries, not scaled, and the keys of a block."""
        query, key = self.attention[block].query, self.attention[block].key
        if query is None or key is None:
            raise RuntimeError("the model has not run inside observe")
        return query, key


@contextmanager
def observe(
    model: PreTrainedModel,
    *,
    hidden: Iterable[int] = (),
    attention: Iterable[int] = (),
    pooled: bool = False,
) -> Iterator[Observed]:
    """Pick up parts of the next forward pass.

    Args:
        model: An encoder with a head, or without.
        hidden: Layers whose hidden states are wanted.
        attention: Blocks whose queries and keys are wanted.
        pooled: Whether the pooler's output is wanted.

    Raises:
        ModelError: The model has no such part, or it cannot be picked up.
    """
    seen = Observed()
    layers = frozenset(hidden)
    check_layers(model, layers)
    with ExitStack() as stack:
        for block in sorted(set(attention)):
            seen.attention[block] = stack.enter_context(capture_projections(model, model.config, block))
        handles = [model.register_forward_hook(_store_output(seen))]
        if layers:
            handles += _hidden_hooks(model)(model, seen, layers)
        if pooled:
            check_pooler(model)
            handles.append(model.base_model.register_forward_hook(_store_pooled(seen)))
        for handle in handles:
            stack.callback(handle.remove)
        yield seen


def is_known(model: PreTrainedModel) -> bool:
    """Whether hooks on the model's blocks are known to give its hidden states."""
    return model.config.model_type in BLOCKS or "hidden_states" in map_of(model.config)


def check_layers(model: PreTrainedModel, layers: Iterable[int]) -> None:
    """Stop where a model's hidden states cannot be picked up, or it has no such layer.

    Raises:
        ModelError: So it is.
    """
    layers = sorted(layers)
    if not layers:
        return
    blocks = getattr(model.config, "num_hidden_layers", None)
    if isinstance(model, SimilarityReader) or blocks is None:
        raise ModelError(
            f"model of type {model.config.model_type!r}",
            expected="an encoder with one sequence of hidden states a layer",
            got="a reader whose passage and question are apart"
            if isinstance(model, SimilarityReader)
            else "no number of layers in its configuration",
            remedy="of this model the fields of spans can be cached: span_logits, top_spans, qa_attention"
            if isinstance(model, SimilarityReader)
            else "leave fields of hidden states out",
        )
    if layers[0] < 0 or layers[-1] > blocks:
        raise ModelError(
            f"hidden states of a model of type {model.config.model_type!r}",
            expected=f"layers from 0 (the embedding output) to {blocks}",
            got=", ".join(map(str, layers)),
            remedy="name layers that the model has",
        )


def check_pooler(model: PreTrainedModel) -> None:
    """Stop where a model has no pooler.

    Raises:
        ModelError: It has none.
    """
    if getattr(model.base_model, "pooler", None) is None:
        raise ModelError(
            f"{type(model).__name__}",
            expected="a model with a pooler",
            got="none: heads for spans and for tokens come without it, and some families have none",
            remedy="pool by first or mean",
        )


def _hidden_hooks(model: PreTrainedModel) -> Callable[..., list[RemovableHandle]]:
    """What sets the hooks that suit the model."""
    if maps(model.config, "hidden_states"):
        return _on_map
    return _on_blocks if is_known(model) else _on_all


def _on_map(model: PreTrainedModel, seen: Observed, layers: frozenset[int]) -> list[RemovableHandle]:
    if "hidden_states" in map_of(model.config):
        modules = layer_modules(model, "hidden_states")

        def keep(layer: int) -> Any:
            def hook(module: nn.Module, args: Any, output: Any) -> None:
                seen.hidden[layer] = tensor_of(output)

            return hook

        return [modules[layer].register_forward_hook(keep(layer)) for layer in sorted(layers)]

    def after(module: nn.Module, args: Any, kwargs: dict[str, Any], output: Any) -> None:
        states = adapted(model.config, output, kwargs)["hidden_states"]
        seen.hidden.update({layer: states[layer] for layer in layers})

    return [model.register_forward_hook(after, with_kwargs=True)]


def _on_blocks(model: PreTrainedModel, seen: Observed, layers: frozenset[int]) -> list[RemovableHandle]:
    blocks = model.base_model.get_submodule(BLOCKS[model.config.model_type])
    ran = 0

    def before(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        if ran == 0 and 0 in layers:
            seen.hidden[0] = args[0] if args else kwargs["hidden_states"]

    def after(module: nn.Module, args: Any, output: Any) -> None:
        nonlocal ran
        ran += 1
        if ran in layers:
            seen.hidden[ran] = output[0] if isinstance(output, tuple) else output

    handles = []
    for block in blocks.children():
        handles.append(block.register_forward_pre_hook(before, with_kwargs=True))
        handles.append(block.register_forward_hook(after))
    return handles


def _on_all(model: PreTrainedModel, seen: Observed, layers: frozenset[int]) -> list[RemovableHandle]:
    shape: list[int] = []

    def before(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        shape[:] = kwargs["input_ids"].shape
        return args, {**kwargs, "output_hidden_states": True}

    def after(module: nn.Module, args: Any, output: Any) -> None:
        states = getattr(output, "hidden_states", None)
        if states is None:
            got = "none"
        elif len(states) != model.config.num_hidden_layers + 1:
            got = f"{len(states)} tensors"
        elif odd := [state for state in states if list(state.shape[:2]) != shape]:
            got = f"one of shape {tuple(odd[0].shape)}"
        else:
            seen.hidden.update({layer: states[layer] for layer in layers})
            return
        raise ModelError(
            f"model of type {model.config.model_type!r}",
            expected=f"hidden states of {model.config.num_hidden_layers + 1} layers,"
            f" of {shape[0]} x {shape[1]} tokens each",
            got=got,
            remedy="leave fields of hidden states out: of this model the logits of its head can be cached",
        )

    return [
        model.register_forward_pre_hook(before, with_kwargs=True),
        model.register_forward_hook(after),
    ]


def _store_output(seen: Observed) -> Any:
    def hook(module: nn.Module, args: Any, output: Any) -> None:
        seen.output = output

    return hook


def _store_pooled(seen: Observed) -> Any:
    def hook(module: nn.Module, args: Any, output: Any) -> None:
        seen.pooled = output.pooler_output if hasattr(output, "pooler_output") else output[1]

    return hook
