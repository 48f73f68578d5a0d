"""What params say of models' layers and tokens, and what they get wrong about terms that compare them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.cache.fields import FIELDS, field_problems, kind_of
from pipeline.cache.settle import TeacherShape, settle
from pipeline.errors import ModelError, ParamsError
from pipeline.files import read_json
from pipeline.objectives.fit import fit_problems
from pipeline.objectives.matches import MATCHES, Held, is_held
from pipeline.objectives.needs import fields_of
from stages.mixes import tokens_of

# Where configurations of transformers have the sizes of an encoder.
_LAYERS = ("num_hidden_layers", "n_layers")
_WIDTH = ("hidden_size", "dim")
_HEADS = ("num_attention_heads", "n_heads")

# Architectures of this package whose layers cannot be read.
_WITHOUT_LAYERS = ("qanet", "rmr")


def shape_of(model: Mapping[str, Any], where: str) -> TeacherShape | None:
    """The sizes of a model of params; None where only its files will say them."""
    config: Mapping[str, Any] = model
    if "from" in model:
        path = Path(str(model["from"])) / "config.json"
        if not path.is_file():
            return None
        config = read_json(path, what="a model's config.json")
    layers, width, heads = (
        next((config[name] for name in names if isinstance(config.get(name), int)), None)
        for names in (_LAYERS, _WIDTH, _HEADS)
    )
    if layers is None and config.get("architecture") not in _WITHOUT_LAYERS:
        return None
    return TeacherShape(where, layers=layers, width=width, num_heads=heads)


def held_fields(fields: Mapping[str, Mapping[str, Any]], teacher: TeacherShape | None) -> Held | None:
    """The fields of a target set, one a layer; None where only its teacher's files will say which."""
    held: dict[str, Mapping[str, Any]] = {}
    for name, options in fields.items():
        layers = options.get("layers") if name in FIELDS and FIELDS[name].layers else None
        if layers is None:
            held[name] = options
        elif teacher is not None:
            try:
                held |= settle({name: options}, teacher)
            except (ModelError, ParamsError):
                return None  # said where the fields are checked
        else:
            pairs = [layer if isinstance(layer, list) else [layer] * FIELDS[name].layers for layer in layers]
            if any(layer < 0 for pair in pairs for layer in pair):
                return None
            held |= {"_".join([name, *map(str, pair)]): options for pair in pairs}
    return held


def layer_problems(
    fields: Mapping[str, Mapping[str, Any]], teacher: TeacherShape | None
) -> Iterator[tuple[str, str]]:
    """Which of the valid fields asked of a teacher are of layers that it has not, and a sentence each."""
    for name, options in fields.items():
        found = kind_of(name)
        of_layers = found is not None and FIELDS[found[0]].layers > 0
        if teacher is not None and of_layers and not field_problems(name, options):
            try:
                settle({name: options}, teacher)
            except (ModelError, ParamsError) as error:
                yield name, str(error)


def field_problem(term: Mapping[str, Any], held: Held, where: str) -> str | None:
    """Which field a valid term needs that a target set lacks, with the line that adds it; None where none."""
    loss = term["loss"]
    fields = fields_of(term, held)
    if loss in MATCHES and is_held(loss, fields, held):
        return None
    absent = next((field for field in fields if field not in held or loss in MATCHES), None)
    if absent is None:
        return None
    heads = MATCHES[loss].heads if loss in MATCHES and absent.startswith("attention_scores") else ()
    options = f"{{heads: {heads[0]}}}" if heads else "{}"
    return f"{loss} needs field {absent!r}; add '{absent}: {options}' to {where}"


def term_problems(
    term: Mapping[str, Any],
    student: Any,
    teacher: Any,
    tokenizers: Mapping[str, Any],
    held: Held | None,
    mean: str | None,
) -> list[str]:
    """What is wrong with a valid term, of one alias, for entries of `students` and `teachers`."""
    return fit_problems(
        term,
        student=shape_of(student.model, "the student"),
        teacher=shape_of(teacher.model, "the teacher"),
        held=held,
        equal_tokens=_equal_tokens(student, teacher, tokenizers),
        mean=mean,
    )


def _equal_tokens(student: Any, teacher: Any, tokenizers: Mapping[str, Any]) -> bool | None:
    """False where two models cannot have the same tokens; what is left of long rows only `bind` knows."""
    own, theirs = tokens_of(student, tokenizers), tokens_of(teacher, tokenizers)
    return False if own is not None and theirs is not None and own != theirs else None
