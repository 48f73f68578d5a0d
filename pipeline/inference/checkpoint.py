"""Checkpoints as models: loaded, checked, and referred to by what they contain instead of copied."""

import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from transformers import AutoModelForQuestionAnswering, PreTrainedModel

import pipeline.models  # noqa: F401  registers our architectures with the Auto classes
from pipeline.errors import ModelError
from pipeline.files import new_folder, read_json, write_json
from pipeline.hub import local_folder
from pipeline.inference.folders import REFERENCE, contents
from pipeline.models.head import AUTO_CLASSES
from pipeline.models.output_map import give_map
from pipeline.models.quiet import quiet
from pipeline.tasks import SPAN, TASKS


def reference(out: Path, source: str, task: str = SPAN) -> dict[str, Any]:
    """Check that `source` is a finished teacher and write to `out` where it is and what it holds.

    Args:
        out: The teacher's folder; will hold one small file.
        source: A model folder, or a name on the model hub.
        task: What it is a teacher of.

    Returns:
        What was found: the source, its parameters and hashes.

    Raises:
        ModelError: No weights, no trained head, or no fast tokenizer.
    """
    folder = local_folder(source)
    held = contents(folder)
    model = load_finished(folder, TASKS[task].head)
    with new_folder(out) as temporary:
        write_json(temporary / REFERENCE, {"from": source, **asdict(held)})
    return {"from": source, "parameters": model.num_parameters(), **asdict(held)}


def copy_mapped(out: Path, source: str, outputs: str | Mapping[str, Any]) -> dict[str, Any]:
    """Check `source` as `reference` does and copy it to `out`, the map of its outputs in its configuration.

    Args:
        out: The teacher's folder.
        source: A model folder, or a name on the model hub.
        outputs: The map, see `pipeline.models.output_map`.

    Raises:
        ModelError: As of `reference`, or the map does not fit.
    """
    folder = local_folder(source)
    model = mapped(load_span_model(folder), outputs)
    config = read_json(folder / "config.json") | {"output_map": model.config.output_map}
    with new_folder(out) as temporary:
        for path in sorted(folder.iterdir()):
            if path.is_file() and path.suffix in _COPIED:
                shutil.copyfile(path, temporary / path.name)
        write_json(temporary / "config.json", config)
        held = contents(temporary)
    return {"from": source, "parameters": model.num_parameters(), **asdict(held)}


_COPIED = {".json", ".safetensors", ".txt", ".model"}


def mapped(model: PreTrainedModel, outputs: str | Mapping[str, Any] | None) -> PreTrainedModel:
    """The model, with the map of its outputs in its configuration where there is one."""
    if outputs is not None:
        give_map(model, outputs)
    return model


def load_span_model(folder: Path) -> PreTrainedModel:
    """A finished span model; see `load_finished`."""
    return load_finished(folder, TASKS[SPAN].head)


def load_finished(folder: Path, head: str) -> PreTrainedModel:
    """A finished model with some `head` in float32, in evaluation mode.

    Raises:
        ModelError: The folder cannot be loaded, or lacks weights that the model needs, such as the head's.
    """
    model, absent = load_checkpoint(folder, AUTO_CLASSES.get(head, AutoModelForQuestionAnswering))
    # An encoder is often published without its pooler.
    missing = [name for name in absent if head != "Model" or not name.startswith("pooler.")]
    if missing:
        raise ModelError(
            folder,
            expected="a finished span model" if head not in AUTO_CLASSES else f"a finished model for {head}",
            got=f"no weights for {', '.join(sorted(missing))}",
            remedy="fine-tune it (give the teacher a `train` section), or name a fine-tuned checkpoint",
        )
    model.requires_grad_(False)
    return model


def load_checkpoint(
    folder: Path, kind: Any = AutoModelForQuestionAnswering, **config: Any
) -> tuple[PreTrainedModel, list[str]]:
    """A model in float32 from `folder`, and the weights that the folder lacks (freshly initialised).

    Args:
        folder: A model folder.
        kind: The Auto class that loads it.
        config: Settings of its configuration that are to be others.
    """
    with quiet():
        try:
            model, info = kind.from_pretrained(folder, dtype="float32", output_loading_info=True, **config)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ModelError(
                folder,
                expected=f"a checkpoint that {kind.__name__} can load",
                got=str(error).splitlines()[0],
                remedy="check config.json's model_type and the safetensors file",
            ) from error
    return model, list(info["missing_keys"])
