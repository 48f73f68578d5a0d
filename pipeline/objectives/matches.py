"""What matches there are, and what a cache must hold of a teacher's layers for each. Needs no torch.

A match compares layers of a student with those of its teacher. Every quantity that it depends on can be had
from some fields; where a cache holds several, those are read that come first here, the smallest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Held = Mapping[str, Mapping[str, Any]]
"""The fields of a target set by name, one a layer, with their options."""

_HIDDEN = ("hidden_states_{0}",)
_HIDDEN_PAIR = ("hidden_states_{0}", "hidden_states_{1}")
_SCORES = (("attention_scores_{0}",), ("attention_qk_{0}",))


@dataclass(frozen=True)
class Match:
    """One kind of match.

    Args:
        alternatives: Fields that it can be made from, with places for the teacher's layers.
        layers: Of how many layers it is: 1, or 2 for a pair.
        of_blocks: Whether its layers are blocks, whose attention is compared, counted from 0.
        same_width: Whether student and teacher must be equally wide, projected if need be.
        same_heads: Whether both must have as many heads.
        heads: For attention scores: how those may be stored, the smallest first.
    """

    alternatives: tuple[tuple[str, ...], ...]
    layers: int = 1
    of_blocks: bool = False
    same_width: bool = True
    same_heads: bool = False
    heads: tuple[str, ...] = ()


MATCHES: Mapping[str, Match] = {
    "attention_ce": Match(_SCORES, of_blocks=True, same_width=False, same_heads=True, heads=("each",)),
    "attention_ce_mean": Match(_SCORES, of_blocks=True, same_width=False, heads=("mean", "sum", "each")),
    "attention_mse": Match(_SCORES, of_blocks=True, same_width=False, same_heads=True, heads=("each",)),
    "attention_mse_sum": Match(_SCORES, of_blocks=True, same_width=False, heads=("sum", "mean", "each")),
    "cos": Match((("unit_vectors_{0}",), _HIDDEN)),
    "fsp": Match((("fsp_{0}_{1}",), _HIDDEN_PAIR), layers=2),
    "hidden_mse": Match((_HIDDEN,)),
    "nst": Match((("gram_{0}_{1}",), _HIDDEN_PAIR), layers=2, same_width=False),
    "pkd": Match((("first_token_{0}",), ("unit_vectors_{0}",), _HIDDEN)),
    "sentence_cos": Match((("sentence_vector",),)),
}


def layers_of(value: Any) -> tuple[int, ...]:
    """Layers as params write them: one, a pair, or none."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, Sequence) else (value,)


def alternatives_of(loss: str, teacher_layer: Any) -> list[tuple[str, ...]]:
    """The fields that a match of these layers of a teacher can be made from, the smallest first."""
    match = MATCHES[loss]
    layers = layers_of(teacher_layer)
    layers = layers * match.layers if len(layers) < match.layers else layers
    every = ([field.format(*layers) for field in fields] for fields in match.alternatives)
    return [tuple(dict.fromkeys(fields)) for fields in every]


def chosen(loss: str, teacher_layer: Any, held: Held | None) -> tuple[str, ...]:
    """The fields of a target set that a match is made from: the first that are held, or else the smallest."""
    alternatives = alternatives_of(loss, teacher_layer)
    return next(
        (fields for fields in alternatives if held is not None and is_held(loss, fields, held)),
        alternatives[0],
    )


def is_held(loss: str, fields: Sequence[str], held: Held) -> bool:
    """Whether a target set holds `fields`, as the match can read them."""
    return all(
        name in held
        and (
            not name.startswith("attention_scores") or held[name].get("heads", "each") in MATCHES[loss].heads
        )
        for name in fields
    )


def needs_equal_tokens(loss: str, fields: Sequence[str]) -> str | None:
    """Why a match made from these fields has no exact form where student and teacher have other tokens."""
    if MATCHES[loss].of_blocks:
        return "attention scores of a word are none of its pieces'"
    if fields and fields[0].startswith("unit_vectors") and loss == "cos":
        return "the direction of a mean does not follow from directions; cache hidden_states instead"
    return None
