"""What a cache can hold: every target field, its columns and its options.

A field is stored in shards of its own, so that another field, or another option of one, touches no other.
A new field is an entry here and a capture function beside the teacher.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pipeline.cache.columns import ENCODINGS, FLOATING, SCALES, Column, stored_columns


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
        columns: What is stored of a row.
        numerics: Raised by hand when the code that computes the field gives other numbers.
        options: The field's settings by name.
    """

    name: str
    columns: tuple[Column, ...]
    numerics: int
    options: Mapping[str, Option]

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

    def stored(self, options: Mapping[str, Any]) -> tuple[Column, ...]:
        """The columns as they are on disk under (resolved) `options`."""
        return tuple(
            stored
            for column in self.columns
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


# How floating columns are stored; `scale` counts for int8 alone.
_ENCODING = {"dtype": Option("float16", _one_of(*ENCODINGS)), "scale": Option("row", _one_of(*SCALES))}

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
        )
    }
)


def spec_of(field: str) -> FieldSpec:
    """The field of this name, which is known; the tokens included."""
    return _TOKEN_FIELD if field == TOKENS else FIELDS[field]


def field_problems(field: str, options: Mapping[str, Any]) -> list[str]:
    """What is wrong with the options given for a known field, a sentence each."""
    known = spec_of(field).options
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
