"""Where a model of any kind keeps its logits, hidden states, queries, keys and mask: an adaptor, as data.

The map is part of a model's configuration, so that it is saved, hashed and loaded with the model. After the
adaptors of TextBrewer (Yang et al. 2020, arXiv:2002.12620). Differs: no function is needed where the tensors
are outputs of the model or of its modules.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from jaxtyping import Shaped
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from pipeline.errors import ModelError, ParamsError
from pipeline.extensions import code_of
from pipeline.registry import call_problem, did_you_mean, imported, is_path

TENSORS = ("start_logits", "end_logits", "logits", "mask")
LAYERS = ("hidden_states", "queries", "keys")
_ADAPTOR, _CODE = "adaptor", "code"

# An output or a module, which element of a tuple, which place of the last axis.
_PLACE = re.compile(r"([A-Za-z_][\w.]*)(?:\[(\d+)\])?(?:\[\.\.\., ?(-?\d+)\])?")
_MODULES = re.compile(r"[A-Za-z_][\w.]*(?:\.\*)?[\w.]*")


class MappedOutput:
    """What a model has returned, with what its map puts in front of it."""

    def __init__(self, output: Any, tensors: Mapping[str, Any]) -> None:
        self._output, self._tensors = output, tensors

    def __getattr__(self, name: str) -> Any:
        return self._tensors[name] if name in self._tensors else getattr(self._output, name)


def map_problems(outputs: Any) -> Iterator[str]:
    """What is wrong with `outputs` of params: a mapping, or the function of one's own."""
    if isinstance(outputs, str):
        if not is_path(outputs):
            yield f"expected a mapping or module:attribute; got {outputs!r}"
            return
        try:
            problem = call_problem(imported(outputs), outputs, "adaptor", ("outputs", "inputs"))
        except ParamsError as error:
            problem = str(error)
        if problem:
            yield problem
        return
    if not isinstance(outputs, Mapping) or not outputs:
        yield f"expected a mapping such as {{start_logits: ...}}, or module:attribute; got {outputs!r}"
        return
    for name, place in outputs.items():
        if name in TENSORS and not (isinstance(place, str) and _PLACE.fullmatch(place)):
            yield f"{name}: expected an output or a module, such as 'head' or 'head[..., 0]'; got {place!r}"
        elif name in LAYERS and not all(
            isinstance(path, str) and _MODULES.fullmatch(path) for path in _listed(place)
        ):
            yield f"{name}: expected modules, such as [embeddings, 'encoder.layer.*']; got {place!r}"
        elif name not in TENSORS + LAYERS:
            yield f"unknown output {name!r}; {did_you_mean(str(name), TENSORS + LAYERS)}"
    if ("queries" in outputs) != ("keys" in outputs):
        yield "queries, keys: expected both or neither; got one"


def give_map(model: PreTrainedModel, outputs: str | Mapping[str, Any]) -> None:
    """Write the map into the model's configuration.

    Raises:
        ModelError: The model has no such modules, or not as many as it has layers.
    """
    written = {_ADAPTOR: outputs, _CODE: code_of(outputs)} if isinstance(outputs, str) else dict(outputs)
    model.config.output_map = written
    problems = []
    count = getattr(model.config, "num_hidden_layers", None)
    for name in LAYERS:
        if name in written:
            expected = None if count is None else count + (name == "hidden_states")
            found = len(layer_modules(model, name))
            if found != expected:
                problems.append(f"{found} modules as {name} where its layers ask for {expected}")
    known = dict(model.named_modules())
    for name in TENSORS:
        place = written.get(name)
        if isinstance(place, str) and "." in place and _place(place)[0] not in known:
            problems.append(f"no module {_place(place)[0]!r}; {did_you_mean(_place(place)[0], known)}")
    if problems:
        raise ModelError(
            f"outputs of {type(model).__name__}",
            expected="modules of the model; of hidden_states one for the embeddings and one for each layer",
            got="; ".join(problems),
            remedy="print the model, and name its modules",
        )


def map_of(config: PreTrainedConfig) -> Mapping[str, Any]:
    """The map in a configuration, empty where there is none."""
    return getattr(config, "output_map", None) or {}


def run_mapped(model: nn.Module, reader: PreTrainedModel, inputs: Mapping[str, Any]) -> Any:
    """What `model`, which wraps `reader` or is it, returns for a padded batch, seen through its map."""
    outputs = map_of(reader.config)
    if _ADAPTOR in outputs:
        given = model(**inputs)
        return MappedOutput(given, adapted(reader.config, given, inputs))
    places = {name: _place(outputs[name]) for name in TENSORS if name in outputs}
    if not places:
        return model(**inputs)
    seen: dict[str, Any] = {}
    modules = dict(reader.named_modules())
    with ExitStack() as stack:
        for path in {path for path, _, _ in places.values()} & modules.keys():
            stack.callback(modules[path].register_forward_hook(_keep(seen, path)).remove)
        given = model(**inputs)
    return MappedOutput(given, {name: _found(given, seen, *place) for name, place in places.items()})


def adapted(config: PreTrainedConfig, output: Any, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the function of one's own makes of a model's output.

    Raises:
        ModelError: Params have not named it in this process: a model's folder alone imports no code.
    """
    path = str(map_of(config)[_ADAPTOR])
    if path.split(":")[0] not in sys.modules:
        raise ModelError(
            f"outputs {path!r}",
            expected="params that name it, or its module imported before",
            got="neither",
            remedy=f"run this where params.yaml names the model, or import {path.split(':')[0]} first",
        )
    made: Mapping[str, Any] = imported(path)(output, inputs)
    return made


def maps(config: PreTrainedConfig, name: str) -> bool:
    """Whether the map says where `name` is; a function of one's own may give hidden states."""
    outputs = map_of(config)
    return name in outputs or (name == "hidden_states" and _ADAPTOR in outputs)


def layer_modules(model: nn.Module, name: str) -> list[nn.Module]:
    """The modules that the map of `model` names as `hidden_states`, `queries` or `keys`, layer by layer."""
    known = dict(model.named_modules())
    found = []
    for path in _listed(map_of(model.config)[name]):  # type: ignore[arg-type]
        numbered = (path.replace("*", str(number)) for number in range(len(known)))
        paths = [one for one in numbered if one in known] if "*" in path else [path]
        missing = [one for one in paths or [path] if one not in known]
        if missing:
            raise ModelError(
                f"outputs.{name}",
                expected=f"modules of {type(model).__name__}",
                got=f"no {missing[0]!r}",
                remedy=did_you_mean(missing[0], known),
            )
        found += [known[one] for one in paths]
    return found


def tensor_of(output: Any) -> Shaped[Tensor, "*shape"]:
    """What a module returned, the first of several."""
    found: Tensor = output[0] if isinstance(output, tuple | list) else output
    return found


def _keep(seen: dict[str, Any], path: str) -> Callable[[nn.Module, Any, Any], None]:
    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        seen[path] = output

    return hook


def _listed(paths: Any) -> Sequence[Any]:
    return paths if isinstance(paths, list | tuple) else [paths]


def _place(text: str) -> tuple[str, int | None, int | None]:
    match = _PLACE.fullmatch(text)
    assert match is not None, "places are checked with the params"
    item, last = (None if part is None else int(part) for part in match.groups()[1:])
    return match[1], item, last


def _found(output: Any, seen: Mapping[str, Any], path: str, item: int | None, last: int | None) -> Tensor:
    value = getattr(output, path, None)
    if value is None and path not in seen:
        raise ModelError(
            f"outputs: {path!r}",
            expected="an output of the model, or a module that has run",
            got="neither",
            remedy=did_you_mean(path, [*output.keys()] if hasattr(output, "keys") else []),
        )
    value = seen[path] if value is None else value
    tensor = value[item] if item is not None else tensor_of(value)
    return tensor if last is None else tensor[..., last]
