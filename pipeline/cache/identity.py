"""What a student is bound to: the work behind a field, not the bytes it happened to give."""

from collections.abc import Sequence
from pathlib import Path

from pipeline import fingerprint
from pipeline.cache.manifest import Manifest
from pipeline.files import write_json


def field_identity(order: bytes, keys: Sequence[str]) -> str:
    """The identity of a field: the keys of its shards, in order, and the order of the rows."""
    return fingerprint.digest([order, *keys]).hex()


def write_identity(path: Path, name: str, manifest: Manifest) -> None:
    """Write the small file that `bind` depends on: it changes only when a field, or the rows, have changed.

    Args:
        path: The file.
        name: The target set's name.
        manifest: Its cache's manifest.
    """
    write_json(
        path,
        {
            "set": name,
            "identity": manifest.identity,
            "rows": manifest.rows.count,
            "teacher": manifest.teacher,
            "tokenizer": manifest.tokenizer,
        },
    )
