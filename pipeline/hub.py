"""Models by the names that they have on the hub: their files, in its local cache."""

from pathlib import Path

from huggingface_hub import snapshot_download

from pipeline.errors import ModelError

# No pickled weights.
_FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]


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
