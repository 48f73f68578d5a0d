"""Teachers that come finished: found, checked, and referred to by what they contain instead of copied."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from transformers import AutoModelForQuestionAnswering, PreTrainedModel

import pipeline.models  # noqa: F401  registers our architectures with the Auto classes
from pipeline import fingerprint
from pipeline.errors import ModelError
from pipeline.files import new_folder, read_json, write_json
from pipeline.inference.quiet import quiet

REFERENCE = "reference.json"
_FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]


@dataclass(frozen=True)
class Contents:
    """What a model folder holds, as hashes: equal contents compute equal numbers."""

    weights: str
    config: str
    tokenizer: str


def contents(folder: Path) -> Contents:
    """Hash the weights, the config and the tokenizer in `folder`; no model is built."""
    return Contents(fingerprint.weights(folder), fingerprint.config(folder), fingerprint.tokenizer(folder))


def reference(out: Path, source: str) -> dict[str, Any]:
    """Check that `source` is a finished span teacher and write to `out` where it is and what it holds.

    Args:
        out: The teacher's folder; will hold one small file.
        source: A model folder, or a name on the model hub.

    Returns:
        What was found: the source, its parameters and hashes.

    Raises:
        ModelError: No weights, no trained span head, or no fast tokenizer.
    """
    folder = local_folder(source)
    held = contents(folder)
    model = load_span_model(folder)
    with new_folder(out) as temporary:
        write_json(temporary / REFERENCE, {"from": source, **asdict(held)})
    return {"from": source, "parameters": model.num_parameters(), **asdict(held)}


def resolve(teacher: Path) -> Path:
    """The model folder of a teacher: itself, or the one it refers to, unchanged since.

    Raises:
        ModelError: No such teacher, or the checkpoint it refers to has changed.
    """
    if not (teacher / REFERENCE).is_file():
        if not (teacher / "config.json").is_file():
            raise ModelError(
                teacher,
                expected="a teacher: a model folder or a reference to one",
                got="an empty or other folder" if teacher.is_dir() else "no such folder",
                remedy="run finetune_teacher for it first",
            )
        return teacher
    noted = read_json(teacher / REFERENCE, what="a reference to a checkpoint")
    folder = local_folder(noted["from"])
    held = asdict(contents(folder))
    changed = [part for part in held if held[part] != noted[part]]
    if changed:
        raise ModelError(
            teacher / REFERENCE,
            expected=f"{', '.join(f'{part} {noted[part][:8]}' for part in changed)} in {folder}",
            got=", ".join(f"{part} {held[part][:8]}" for part in changed),
            remedy="the checkpoint has changed: put the old one back, or run finetune_teacher again",
        )
    return folder


def local_folder(source: str) -> Path:
    """The folder of a model: `source` itself, or the hub's copy of it in the local hub cache."""
    if Path(source).is_dir():
        return Path(source)
    try:
        return Path(snapshot_download(source, allow_patterns=_FILES))
    except (OSError, ValueError) as error:
        raise ModelError(
            source,
            expected="a model folder, or the name of a model on the hub",
            got=f"no such folder, and from the hub: {str(error).splitlines()[0]}",
            remedy="check the path or name; without a network, give a folder",
        ) from error


def load_span_model(folder: Path) -> PreTrainedModel:
    """A finished span model in float32, in evaluation mode.

    Raises:
        ModelError: The folder cannot be loaded, or lacks weights that the model needs (a span head).
    """
    model, missing = load_checkpoint(folder)
    if missing:
        raise ModelError(
            folder,
            expected="a finished span model",
            got=f"no weights for {', '.join(sorted(missing))}",
            remedy="fine-tune it (give the teacher a `train` section), or name a fine-tuned checkpoint",
        )
    model.requires_grad_(False)
    return model


def load_checkpoint(folder: Path) -> tuple[PreTrainedModel, list[str]]:
    """A span model in float32 from `folder`, and the weights that the folder lacks (freshly initialised)."""
    with quiet():
        try:
            model, info = AutoModelForQuestionAnswering.from_pretrained(
                folder, dtype="float32", output_loading_info=True
            )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ModelError(
                folder,
                expected="a checkpoint that AutoModelForQuestionAnswering can load",
                got=str(error).splitlines()[0],
                remedy="check config.json's model_type and the safetensors file",
            ) from error
    return model, list(info["missing_keys"])
