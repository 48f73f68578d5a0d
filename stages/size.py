"""Sizes of a student or teacher, by module."""

import json
from dataclasses import asdict
from pathlib import Path

from transformers import PreTrainedModel

from pipeline.errors import ModelError
from pipeline.hub import local_folder
from pipeline.inference.heads import load_any
from pipeline.models import build
from pipeline.models.head import Head
from pipeline.models.size import size_tree, tree_lines
from pipeline.tasks.heads import head_of, heads_of
from stages.classes import bound_heads, student_classes, teacher_classes
from stages.folders import PARAMS, TOKENIZERS
from stages.model_folders import model_folder
from stages.params import load
from stages.sections import Params


def size(name: str, depth: int, params: Path = PARAMS, *, as_json: bool = False) -> list[str]:
    """The lines to print: a tree, or JSON with bytes.

    Args:
        name: A student or teacher of params, or a model folder.
        depth: How many levels of modules the tree has; JSON has all.
        params: The params file; need not be there for a folder.
        as_json: JSON instead.

    Raises:
        PipelineError: There is no such model, or it can neither be loaded nor built.
    """
    tree = size_tree(_model(name, params), name)
    return [json.dumps(asdict(tree), indent=2)] if as_json else tree_lines(tree, depth)


def _model(name: str, params: Path) -> PreTrainedModel:
    """The model of a folder; else that of params as it was trained, or as it would be built."""
    settings = load(params, models=True) if params.is_file() else None
    if (Path(name) / "config.json").is_file():
        return load_any(Path(name))
    settings = settings or load(params, models=True)
    try:
        return load_any(model_folder(settings, name)[1])
    except ModelError:
        return _built(settings, name)


def _built(settings: Params, name: str) -> PreTrainedModel:
    """A model of params before its training, with an output for each class of its data."""
    entry = settings.students.get(name) or settings.teachers[name]
    if "from" in entry.model:
        return load_any(local_folder(entry.model["from"]))
    options = {key: value for key, value in entry.model.items() if key not in ("architecture", "heads")}
    return build(
        entry.model["architecture"], TOKENIZERS / str(entry.tokenizer), options, 0, _head(settings, name)
    )


def _head(settings: Params, name: str) -> Head | dict[str, Head] | None:
    if name in settings.teachers:
        return head_of(settings.teachers[name].task, teacher_classes(settings, name))
    if settings.students[name].heads:
        return heads_of(bound_heads(settings, name))
    return head_of(settings.students[name].task, student_classes(settings, name))
