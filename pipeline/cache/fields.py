"""What a cache can hold: every target field, its columns and its options.

A field is stored in shards of its own, so that another field, or another option of one, touches no other.
A new field is an entry here and a capture function beside the teacher.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from pipeline.cache.columns import (
    CLASS,
    ENCODINGS,
    FLOATING,
    SCALES,
    TOKEN,
    TOKEN_PAIRS,
    Column,
    pairs,
    stored_columns,
)
from pipeline.errors import ParamsError
from pipeline.registry import did_you_mean

# Options of a stored field that follow from the teacher; `pipeline.cache.settle` fills them in.
SETTLED = ("width", "num_heads", "num_classes", "layer", "layers", "store")


@dataclass(frozen=True)
class Option:
    """A setting of a field: its default, and what is wrong with a value (None: nothing)."""

    default: Any
    problem: Callable[[Any], str | None]


@dataclass(frozen=True)
class FieldSpec:
    """A target field.

    Args:
        name: The field's name in params and on disk.
        columns: What is stored of a row, under the default options.
        numerics: Raised by hand when the code that computes the field gives other numbers.
        options: The field's settings by name.
        layers: Of how many layers of the teacher one stored field is: 0 where it is not of chosen layers,
            1, or 2 for a pair. Params name a list of them, and each is stored as `<name>_<layer>` or
            `<name>_<layer>_<layer>`, so that another layer touches no shard of the first.
        shape: The columns, where they depend on the options: a function of the columns and the options.
        of_gold: Whether the values depend on a row's labels. Its shards then go by inputs and labels
            together, so that a mended label computes those of this field, and of no other.
        two_step: Whether only a teacher whose end depends on its start can give it.
    """

    name: str
    columns: tuple[Column, ...]
    numerics: int
    options: Mapping[str, Option]
    layers: int = 0
    shape: Callable[[tuple[Column, ...], Mapping[str, Any]], tuple[Column, ...]] = field(
        default=lambda columns, options: columns
    )
    of_gold: bool = False
    two_step: bool = False

    @property
    def group(self) -> str:
        """The folder of its shards, and what a teacher is asked for."""
        return self.name

    def resolve(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """All options that matter, defaults filled in."""
        resolved = {name: options.get(name, option.default) for name, option in self.options.items()}
        # Only whole numbers have scales: what changes no value must change no key.
        return {
            name: value for name, value in resolved.items() if name != "scale" or resolved["dtype"] == "int8"
        }

    def given(self, options: Mapping[str, Any]) -> tuple[Column, ...]:
        """The columns as the teacher gives them under (resolved) `options`."""
        return tuple(
            replace(column, fixed=_fixed_extents(column, options))
            for column in self.shape(self.columns, options)
        )

    def stored(self, options: Mapping[str, Any]) -> tuple[Column, ...]:
        """The columns as they are on disk under (resolved) `options`."""
        return tuple(
            stored
            for column in self.given(options)
            for stored in stored_columns(column, options.get("dtype", ""), options.get("scale", ""))
        )


def _one_of(*values: str) -> Callable[[Any], str | None]:
    return lambda value: None if value in values else f"expected one of {', '.join(values)}; got {value!r}"


def _whole(low: int | None = None) -> Callable[[Any], str | None]:
    expected = "a whole number" if low is None else f"a whole number of at least {low}"

    def problem(value: Any) -> str | None:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return None if whole and (low is None or value >= low) else f"expected {expected}; got {value!r}"

    return problem


def _flag(value: Any) -> str | None:
    return None if isinstance(value, bool) else f"expected true or false; got {value!r}"


def _optional(problem: Callable[[Any], str | None]) -> Callable[[Any], str | None]:
    return lambda value: None if value is None else problem(value)


def _layer_pair(value: Any) -> str | None:
    good = isinstance(value, Sequence) and len(value) == 2 and not any(map(_whole(0), value))
    return None if value is None or good else f"expected two layers; got {value!r}"


def _layer_list(layers: int) -> Callable[[Any], str | None]:
    """What a list of layers, or of pairs of layers, must be; a pair of one layer may be written as that."""
    expected = "a list of layers, [0, 6]" if layers == 1 else "a list of pairs of layers, [[0, 6], [3, 3]]"

    def problem(value: Any) -> str | None:
        good = isinstance(value, list | tuple) and len(value) > 0
        for item in value if good else ():
            pair = layers == 2 and isinstance(item, list | tuple) and len(item) == 2
            good = good and not any(map(_whole(), item if pair else (item,)))
        return None if good else f"expected {expected}; got {value!r}"

    return problem


# A number that follows from the teacher.
_fact = _optional(_whole(0))


# How floating columns are stored; `scale` counts for int8 alone.
_ENCODING = {"dtype": Option("float16", _one_of(*ENCODINGS)), "scale": Option("row", _one_of(*SCALES))}

_WIDTH = {"width": Option(None, _fact), **_ENCODING}
_LAYER = {"layer": Option(None, _fact), **_WIDTH}
_PAIR = {"layers": Option(None, _layer_pair), **_WIDTH}

_LAYERS = re.compile(r"([a-z_]+?)((?:_(?:0|[1-9][0-9]*))+)")


def _fixed_extents(column: Column, options: Mapping[str, Any]) -> dict[str, int]:
    """The extents of a column's axes that the teacher fixes, as far as the options say them."""
    width = options.get("width")
    known = {
        "width": width,
        "width_pairs": width and pairs(width),
        "head": options.get("num_heads"),
        CLASS: options.get("num_classes"),
    }
    return {axis: size for axis, size in known.items() if axis in column.axes and size is not None}


def _gram(columns: tuple[Column, ...], options: Mapping[str, Any]) -> tuple[Column, ...]:
    return tuple(
        replace(column, axes=(TOKEN_PAIRS,)) if _one_layer(options) else column for column in columns
    )


def _fsp(columns: tuple[Column, ...], options: Mapping[str, Any]) -> tuple[Column, ...]:
    (column,) = columns
    if options["store"] == "hidden_states":
        state = replace(column, axes=(TOKEN, "width"), unit="hidden state")
        ends = ("x",) if _one_layer(options) else ("x", "y")
        return tuple(replace(state, name=f"{column.name}_{end}") for end in ends)
    return (replace(column, axes=("width_pairs",)) if _one_layer(options) else column,)


def _one_layer(options: Mapping[str, Any]) -> bool:
    """Whether a pair is of a layer with itself, whose products are symmetric."""
    layers = options["layers"]
    return layers is not None and layers[0] == layers[1]


def _attention(columns: tuple[Column, ...], options: Mapping[str, Any]) -> tuple[Column, ...]:
    each = options["heads"] == "each"
    return tuple(column if each else replace(column, axes=(TOKEN, TOKEN)) for column in columns)


TOKENS = "tokens"
_TOKEN_FIELD = FieldSpec(
    TOKENS,
    (
        Column("passage_offsets", "int32", ("passage", "bounds"), "characters of the passage, end excluded"),
        Column(
            "question_offsets", "int32", ("question", "bounds"), "characters of the question, end excluded"
        ),
    ),
    numerics=1,
    options={},
)

# The tokens, which every cache holds, are not among the fields that one asks for.
FIELDS: Mapping[str, FieldSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            FieldSpec(
                "span_logits",
                (
                    Column("start_logits", FLOATING, ("passage",), "raw logit"),
                    Column("end_logits", FLOATING, ("passage",), "raw logit"),
                ),
                numerics=1,
                options=_ENCODING,
            ),
            FieldSpec(
                "null_logits",
                (Column("null_logits", FLOATING, ("bounds",), "raw logit of the first token"),),
                numerics=1,
                options=_ENCODING,
            ),
            FieldSpec(
                "top_spans",
                (
                    Column("top_starts", "int32", ("span",), "passage token"),
                    Column("top_ends", "int32", ("span",), "passage token, included"),
                    Column("top_log_probs", "float32", ("span",), "log-probability"),
                ),
                numerics=1,
                options={"k": Option(4, _whole(1))},
            ),
            FieldSpec(
                "qa_attention",
                (Column("qa_attention", FLOATING, ("passage", "question"), "probability over the question"),),
                numerics=1,
                options={"layer": Option(-2, _whole()), **_ENCODING},
            ),
            FieldSpec(
                "end_rows",
                (
                    Column("gold_start", "int32", ("gold",), "passage token"),
                    Column("gold_end_logits", FLOATING, ("gold", "passage"), "raw logit"),
                ),
                numerics=1,
                options=_ENCODING,
                of_gold=True,
                two_step=True,
            ),
            FieldSpec(
                "top_end_rows",
                (
                    Column("best_starts", "int32", ("start",), "passage token"),
                    Column("best_end_logits", FLOATING, ("start", "passage"), "raw logit given a start"),
                ),
                numerics=1,
                options={"k": Option(4, _whole(1)), **_ENCODING},
                two_step=True,
            ),
            FieldSpec(
                "class_logits",
                (Column("class_logits", FLOATING, (CLASS,), "raw logit"),),
                numerics=1,
                options={"num_classes": Option(None, _fact), **_ENCODING},
            ),
            FieldSpec(
                "token_logits",
                (Column("token_logits", FLOATING, (TOKEN, CLASS), "raw logit of a token"),),
                numerics=1,
                options={"num_classes": Option(None, _fact), **_ENCODING},
            ),
            FieldSpec(
                "hidden_states",
                (Column("hidden_states", FLOATING, (TOKEN, "width"), "hidden state"),),
                numerics=1,
                options=_LAYER,
                layers=1,
            ),
            FieldSpec(
                "unit_vectors",
                (Column("unit_vectors", FLOATING, (TOKEN, "width"), "hidden state over its norm"),),
                numerics=1,
                options=_LAYER,
                layers=1,
            ),
            FieldSpec(
                "first_token",
                (Column("first_token", FLOATING, ("width",), "hidden state, over its norm if unit"),),
                numerics=1,
                options={"unit": Option(False, _flag), **_LAYER},
                layers=1,
            ),
            FieldSpec(
                "sentence_vector",
                (Column("sentence_vector", FLOATING, ("width",), "hidden state"),),
                numerics=1,
                options={
                    "pooling": Option("first", _one_of("first", "mean", "pooler")),
                    "layer": Option(-1, _whole()),
                    "width": Option(None, _fact),
                    **_ENCODING,
                },
            ),
            FieldSpec(
                "gram",
                (Column("gram", FLOATING, (TOKEN, TOKEN), "X Y^T / width"),),
                numerics=1,
                options=_PAIR,
                layers=2,
                shape=_gram,
            ),
            FieldSpec(
                "fsp",
                (Column("fsp", FLOATING, ("width", "width"), "X^T Y / tokens"),),
                numerics=1,
                options={**_PAIR, "store": Option(None, _optional(_one_of("gram", "hidden_states")))},
                layers=2,
                shape=_fsp,
            ),
            FieldSpec(
                "attention_scores",
                (Column("attention_scores", FLOATING, ("head", TOKEN, TOKEN), "raw score"),),
                numerics=1,
                options={
                    "heads": Option("each", _one_of("each", "sum", "mean")),
                    "layer": Option(None, _fact),
                    "num_heads": Option(None, _fact),
                    **_ENCODING,
                },
                layers=1,
                shape=_attention,
            ),
            FieldSpec(
                "attention_qk",
                (
                    Column("attention_query", FLOATING, (TOKEN, "width"), "query, not scaled"),
                    Column("attention_key", FLOATING, (TOKEN, "width"), "key"),
                ),
                numerics=1,
                options={"num_heads": Option(None, _fact), **_LAYER},
                layers=1,
            ),
        )
    }
)


def kind_of(name: str) -> tuple[str, tuple[int, ...]] | None:
    """The field that a name in params or on disk means, and the layers in it; None where there is none."""
    if name in FIELDS:
        return name, ()
    matched = _LAYERS.fullmatch(name)
    if matched is None or matched[1] not in FIELDS:
        return None
    layers = tuple(int(number) for number in matched[2].split("_")[1:])
    return (matched[1], layers) if FIELDS[matched[1]].layers == len(layers) else None


def is_field(name: str) -> bool:
    """Whether params may ask for a field of this name, or of this name and layer."""
    return kind_of(name) is not None


def spec_of(field: str) -> FieldSpec:
    """The field of this name, which is known; the tokens included."""
    if field == TOKENS:
        return _TOKEN_FIELD
    found = kind_of(field)
    assert found is not None, f"{field} is a field that was checked"
    kind, layers = found
    spec = FIELDS[kind]
    if not layers:
        return spec
    # Columns are named after their field, so that two layers can stand side by side.
    suffix = field.removeprefix(kind)
    return replace(
        spec,
        name=field,
        columns=tuple(replace(column, name=f"{column.name}{suffix}") for column in spec.columns),
    )


def is_of_gold(field: str) -> bool:
    """Whether a field depends on labels; one of an unknown name does not."""
    found = kind_of(field)
    return found is not None and FIELDS[found[0]].of_gold


def unsettled(field: str, options: Mapping[str, Any]) -> list[str]:
    """The options that a stored field needs and that only its teacher says."""
    resolved = spec_of(field).resolve(options)
    return [name for name in SETTLED if name in resolved and resolved[name] is None]


def field_problems(field: str, options: Mapping[str, Any]) -> list[str]:
    """What is wrong with the options given for a known field, a sentence each."""
    known = dict(spec_of(field).options)
    found = kind_of(field)
    if found is not None and FIELDS[found[0]].layers and not found[1]:
        known = {name: option for name, option in known.items() if name not in SETTLED or name == "store"}
        known["layers"] = Option(None, _layer_list(FIELDS[field].layers))
        if "layers" not in options:
            options = {**options, "layers": None}
    unknown = [
        f"unknown option {name!r} of {field}; known: {', '.join(sorted(known)) or 'none'}"
        for name in options
        if name not in known
    ]
    wrong = [
        f"{name}: {text}"
        for name, value in options.items()
        if name in known and (text := known[name].problem(value)) is not None
    ]
    return unknown + wrong


def check_field(field: str, options: Mapping[str, Any]) -> None:
    """Stop where there is no such field, or its options are wrong.

    Raises:
        ParamsError: So it is.
    """
    if not is_field(field):
        raise ParamsError(
            f"fields.{field}",
            expected="the name of a target field",
            got=repr(field),
            remedy=did_you_mean(field, FIELDS),
        )
    if problems := field_problems(field, options):
        raise ParamsError(
            f"fields.{field}",
            expected="options of the field",
            got=repr(dict(options)),
            remedy="; ".join(problems),
        )
