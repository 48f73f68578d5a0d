"""Where a teacher lies and what its folder holds: no model is built, and torch is not imported."""

from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline import fingerprint
from pipeline.errors import ModelError
from pipeline.files import read_json
from pipeline.hub import local_folder

REFERENCE = "reference.json"


@dataclass(frozen=True)
class Contents:
    """What a model folder holds, as hashes: equal contents compute equal numbers."""

    weights: str
    config: str
    tokenizer: str


def contents(folder: Path) -> Contents:
    """Hash the weights, the config and the tokenizer in `folder`; no model is built."""
    return Contents(fingerprint.weights(folder), fingerprint.config(folder), fingerprint.tokenizer(folder))


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
