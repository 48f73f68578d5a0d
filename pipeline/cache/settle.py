"""From the fields that params ask for to those that are stored, once it is known whose they are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from pipeline.cache.columns import pairs
from pipeline.cache.fields import FIELDS, FieldSpec, check_field, kind_of, spec_of
from pipeline.errors import ModelError, ParamsError


@dataclass(frozen=True)
class TeacherShape:
    """The sizes of a teacher that fields depend on; None where it has no such thing.

    Args:
        where: What to call the teacher in a message.
        layers: Its blocks.
        width: The extent of its hidden states.
        num_heads: Attention heads of a block.
        num_classes: Classes of its head.
        offers: The fields that it can give, for messages.
    """

    where: str
    layers: int | None = None
    width: int | None = None
    num_heads: int | None = None
    num_classes: int | None = None
    offers: tuple[str, ...] = ()


def settle(
    fields: Mapping[str, Mapping[str, Any]],
    teacher: TeacherShape,
    *,
    tokens: Int[np.ndarray, " rows"] | None = None,
    stored: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, dict[str, Any]]:
    """One field a layer, the teacher's sizes filled in; settled fields come back as they are.

    Layer 0 of hidden states is the embedding output, layer k the output of block k; the layers of attention
    are the blocks, from 0. Both may be counted from the end, from -1.

    Args:
        fields: As params have them: `hidden_states: {layers: [0, 3]}` or `hidden_states_3: {}`.
        teacher: Whose they are.
        tokens: How many tokens each row has, to choose what is smaller; without them Gram matrices are.
        stored: The options of the fields that a cache has already, whose choices stand.

    Raises:
        ParamsError: There is no such field or option, or a field is asked for twice.
        ModelError: The teacher has no such layer, or no such thing at all.
    """
    settled: dict[str, dict[str, Any]] = {}
    for asked, options in fields.items():
        check_field(asked, options)
        for name, own in _by_layer(asked, options, teacher):
            if name in settled:
                raise ParamsError(
                    f"fields.{asked}", expected="a layer once", got=f"{name} twice", remedy="leave one out"
                )
            filled = _sized(name, own, teacher)
            if "store" in spec_of(name).options and filled.get("store") is None:
                recorded = (stored or {}).get(name, {}).get("store")
                filled["store"] = recorded or _smaller(filled, tokens)
            settled[name] = filled
    return settled


def _by_layer(
    field: str, options: Mapping[str, Any], teacher: TeacherShape
) -> Iterator[tuple[str, dict[str, Any]]]:
    spec = spec_of(field)
    found = kind_of(field)
    if not spec.layers or found is None:
        own = dict(options)
        if field == "sentence_vector":
            own["layer"] = _sentence_layer(spec.resolve(options), teacher)
        yield field, own
        return
    kind, named = found
    asked: Sequence[Any] = [named] if named else options["layers"]
    rest = {name: value for name, value in options.items() if name not in ("layer", "layers")}
    for layers in asked:
        both = layers if isinstance(layers, list | tuple) else [layers] * spec.layers
        numbers = [_layer(f"fields.{field}", FIELDS[kind], layer, teacher) for layer in both]
        option = {"layer": numbers[0]} if spec.layers == 1 else {"layers": numbers}
        given = {name: options[name] for name in option if named and options.get(name) is not None}
        if given and {name: _plain(value) for name, value in given.items()} != option:
            raise ParamsError(
                f"fields.{field}",
                expected=f"the layer of its name, {option}",
                got=str(given),
                remedy="leave the option out",
            )
        yield "_".join([kind, *map(str, numbers)]), {**rest, **option}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _sentence_layer(options: Mapping[str, Any], teacher: TeacherShape) -> int:
    layer = _layer("fields.sentence_vector", FIELDS["hidden_states"], options["layer"], teacher)
    if options["pooling"] == "pooler" and layer != teacher.layers:
        raise ParamsError(
            "fields.sentence_vector",
            expected="no layer, since the pooler reads the last one",
            got=str(options["layer"]),
            remedy="leave layer out, or pool by first or mean",
        )
    return layer


def _layer(where: str, spec: FieldSpec, layer: int, teacher: TeacherShape) -> int:
    """`layer`, counted from the input."""
    if teacher.layers is None:
        raise _cannot(where, "layers", teacher)
    # Hidden states begin with the embedding output; attention happens inside blocks.
    count = teacher.layers if _of_blocks(spec) else teacher.layers + 1
    if not -count <= layer < count:
        raise ModelError(
            where,
            expected=f"layers from {-count} to {count - 1}: {teacher.where} has {teacher.layers} blocks",
            got=str(layer),
            remedy="name layers that it has"
            + ("" if _of_blocks(spec) else " (0 is the embedding output, k the output of block k)"),
        )
    return layer % count


def _of_blocks(spec: FieldSpec) -> bool:
    return "num_heads" in spec.options


def _sized(field: str, options: dict[str, Any], teacher: TeacherShape) -> dict[str, Any]:
    """`options` with the sizes that are the teacher's."""
    sizes = {"width": teacher.width, "num_heads": teacher.num_heads, "num_classes": teacher.num_classes}
    for name, size in sizes.items():
        if name not in spec_of(field).options:
            continue
        if size is None:
            raise _cannot(f"fields.{field}", name, teacher)
        if options.get(name) not in (None, size):
            raise ParamsError(
                f"fields.{field}.{name}",
                expected=f"{size}, as {teacher.where} has it",
                got=str(options[name]),
                remedy="leave the option out: it follows from the teacher",
            )
        options = {**options, name: size}
    return options


def _cannot(where: str, what: str, teacher: TeacherShape) -> ModelError:
    return ModelError(
        where,
        expected=f"a teacher with {what.removeprefix('num_')}",
        got=teacher.where,
        remedy=f"of it can be cached: {', '.join(teacher.offers) or 'nothing of the kind'}",
    )


def _smaller(options: Mapping[str, Any], tokens: Int[np.ndarray, " rows"] | None) -> str:
    """What takes fewer bytes a row: the width x width products, or the hidden states they are made of."""
    if tokens is None or not len(tokens):
        return "gram"
    width: int = options["width"]
    same = options["layers"][0] == options["layers"][1]
    products = pairs(width) if same else width**2
    states = float(np.mean(tokens)) * width * (1 if same else 2)
    return "hidden_states" if states < products else "gram"
