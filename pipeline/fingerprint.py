"""Canonical hashes: what makes two weights, tokenizers, rows or settings the same.

All are BLAKE2b of 16 bytes. Text is hashed with its length before it, so that ("ab", "c") and
("a", "bc") differ.
"""

import json
import struct
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import ModelError
from pipeline.files import read_json
from pipeline.schema import Answer

HASH_BYTES = 16

# These say where a model came from or who wrote the file, not what it computes.
_CONFIG_NOTES = {
    "_name_or_path",
    "transformers_version",
    "torch_dtype",
    "dtype",
    "architectures",
    "name_or_path",
}


def digest(parts: Iterable[bytes | str]) -> bytes:
    """The hash of a sequence of parts, each counted with its length."""
    state = blake2b(digest_size=HASH_BYTES)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        state.update(len(data).to_bytes(8, "little"))
        state.update(data)
    return state.digest()


def settings(value: Any) -> str:
    """The hash, in hex, of a JSON-like value; the order of keys does not count."""
    return digest([json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)]).hex()


def input_hash(question: str, text: str) -> bytes:
    """Identity of what a teacher reads."""
    return digest([question, text])


def gold_hash(answers: Sequence[Answer], labels: Sequence[str] | None = None) -> bytes:
    """Identity of a row's labels: the answers of a question, or those of another task."""
    spans = [part for answer in answers for part in (answer.text, str(answer.start))]
    return digest([*spans, *(labels or ())])


def occurrences(hashes: Sequence[bytes]) -> list[int]:
    """For each hash, how often it stood in the sequence before."""
    seen: dict[bytes, int] = {}
    counts = []
    for value in hashes:
        counts.append(seen.get(value, 0))
        seen[value] = counts[-1] + 1
    return counts


def weights(folder: Path) -> str:
    """The hash, in hex, of the tensors in a model folder: names, types, shapes and bytes.

    Raises:
        ModelError: The folder holds no readable safetensors file.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelError(
            folder,
            expected="a model folder with model.safetensors",
            got="none" if folder.is_dir() else "no such folder",
            remedy="save the model with save_pretrained, or check the path",
        )
    tensors: dict[str, bytes] = {}
    for file in files:
        tensors.update(_tensor_hashes(file))
    return digest(part for name in sorted(tensors) for part in (name, tensors[name])).hex()


def _tensor_hashes(file: Path) -> dict[str, bytes]:
    try:
        with file.open("rb") as stream:
            (header_bytes,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(header_bytes))
        data = np.memmap(file, mode="r", offset=8 + header_bytes)
    except (struct.error, ValueError, OSError, OverflowError, MemoryError) as error:
        raise ModelError(
            file, expected="a safetensors file", got=str(error), remedy="save the model again"
        ) from error
    hashes = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            described = json.dumps([entry["dtype"], entry["shape"]])
            hashes[name] = digest([described, data[begin:end].tobytes()])
    return hashes


def config(folder: Path) -> str:
    """The hash, in hex, of the fields of config.json that a model's numbers depend on."""
    fields = read_json(folder / "config.json", what="a model's config.json")
    return settings({key: value for key, value in fields.items() if key not in _CONFIG_NOTES})


def tokenizer(folder: Path) -> str:
    """The hash, in hex, of a fast tokenizer, without its truncation and padding: callers set their own.

    Raises:
        ModelError: The folder holds no fast tokenizer, so there are no character offsets.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ModelError(
            path,
            expected="a fast tokenizer (tokenizer.json), which gives character offsets",
            got="no such file",
            remedy="convert the tokenizer with AutoTokenizer.from_pretrained(...).save_pretrained(...)",
        )
    parts = read_json(path, what="a tokenizer.json")
    described = {key: value for key, value in parts.items() if key not in {"truncation", "padding"}}
    characters = folder / "characters.json"
    extra = read_json(characters) if characters.is_file() else None
    return settings([described, extra])
