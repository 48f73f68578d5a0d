"""What can be wrong with a mix of target sets: its weights, its members' tokens, the fields it merges."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline import fingerprint
from pipeline.cache.mix import MERGED_FIELDS, OWN_OPTIONS


def weight_problems(weights: Sequence[float], members: int) -> Iterator[str]:
    """What is wrong with the weights of so many members."""
    if len(weights) != members:
        yield f"expected {members} weights, one a member; got {len(weights)}"
    if not all(math.isfinite(weight) and weight > 0 for weight in weights):
        yield f"expected finite numbers above 0; got {weights}"


def tokens_problem(
    teachers: Sequence[tuple[str, Any]], tokenizers: Mapping[str, Any], *, merged: bool
) -> str | None:
    """What is wrong where teachers, by name, do not share a tokenizer; None where they do, or may."""
    differing = differing_tokens(teachers, tokenizers)
    if differing is None:
        return None
    listing = " and ".join(map(repr, differing))
    remedy = (
        "average them where they are read: write {mean_probabilities: [...]} among a source's targets"
        if merged
        else "use mean_probabilities"
    )
    return f"teachers {listing} have different tokenizers, so their tokens have no mean; {remedy}"


def differing_tokens(models: Sequence[tuple[str, Any]], tokenizers: Mapping[str, Any]) -> list[str] | None:
    """Two of the models, by name, that do not share a tokenizer; None where all do, or may.

    Params say it of tokenizers that are built here, files of those that came with checkpoints. What only
    caches and inputs can tell is left to the stages that read them.
    """
    kinds: dict[tuple[str, str], str] = {}
    for name, model in models:
        tokens = tokens_of(model, tokenizers)
        if tokens is not None:
            kinds.setdefault(tokens, name)
    return next((names[:2] for names in _pairs_of_one_kind(kinds) if len(names) > 1), None)


def _pairs_of_one_kind(kinds: Mapping[tuple[str, str], str]) -> list[list[str]]:
    """Teachers with different tokenizers, by how these are known: only like is compared with like."""
    by_kind: dict[str, list[str]] = {}
    for (kind, _), name in kinds.items():
        by_kind.setdefault(kind, []).append(name)
    return list(by_kind.values())


def tokens_of(teacher: Any, tokenizers: Mapping[str, Any]) -> tuple[str, str] | None:
    """What says which tokenizer a teacher has, and what it says; None where that is not known yet."""
    source = teacher.model.get("from")
    if source is None:
        entry = tokenizers.get(teacher.tokenizer)
        if entry is None:
            return None
        if entry.kind != "pretrained":
            described = entry.model_dump(exclude={"vectors"})
            return "entry", json.dumps(described, sort_keys=True)
        source = entry.from_
    if source is None or not (Path(source) / "tokenizer.json").is_file():
        return None
    return "file", fingerprint.tokenizer(Path(source))


def merged_field_problems(
    field: str, options: Mapping[str, Any], held: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    """What is wrong with a field of a merge whose members hold the fields `held`."""
    if field not in MERGED_FIELDS:
        yield f"cannot be merged; can be: {', '.join(MERGED_FIELDS)}"
        return
    for option in options.keys() - OWN_OPTIONS:
        yield f"option {option!r} is the members' own; leave it out"
    for member, fields in held.items():
        if field not in fields:
            yield f"{member!r} does not hold it; add '{field}: {{}}' to targets.{member}.fields"
