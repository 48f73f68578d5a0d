"""Initial weights of a small encoder, taken from chosen layers of a teacher's folder.

Bytes are copied from file to file: no torch, no model is built, and the number type stays. So a student
can start from its teacher although no process of the student ever opens the teacher.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import fingerprint
from pipeline.errors import ModelError
from pipeline.files import new_file, read_json

_LAYER = re.compile(r"encoder\.layer\.(\d+)\.(.+)")
_FAMILIES = ("bert", "electra")
_KEPT = ("embeddings.", "embeddings_project.", "qa_outputs.")
_WORDS = ("embeddings.word_embeddings.",)
# 0, 1, 2, ...: older checkpoints hold it, and models count by themselves.
_COUNTED = "embeddings.position_ids"
# As TensorFlow calls them, and the first BERTs of the hub after it.
_RENAMED = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
# Facts of the teacher that a student must share for its weights to mean the same.
_SHARED = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "max_position_embeddings",
    "type_vocab_size",
    "hidden_act",
    "layer_norm_eps",
)
_SHARED_TOO = {"electra": ("embedding_size",)}


@dataclass(frozen=True)
class Origin:
    """What a file of initial weights says of the teacher it was taken from.

    `tokenizer` is the hash of the teacher's tokenizer, empty where its folder has none.
    """

    layers: tuple[int, ...]
    config: Mapping[str, Any]
    tokenizer: str


def extract_layers(teacher: Path, layers: Sequence[int], out_file: Path) -> None:
    """Write the embeddings, `layers` (which become layers 0, 1, ...) and the span head of `teacher`.

    A teacher without a span head is an encoder that was not fine-tuned: its file has none either. Without
    `layers` the file holds the table of words alone, for students that have no such layers.

    Raises:
        ModelError: The folder holds no BERT or ELECTRA, or not these layers.
    """
    config = read_json(teacher / "config.json", what="a model's config.json")
    _check(teacher, config, layers)
    family = config["model_type"]
    kept = _KEPT if layers else _WORDS
    places = {old: new for new, old in enumerate(layers)}
    tensors: dict[str, _RawTensor] = {}
    for name, tensor in _tensors(teacher):
        bare = name.removeprefix(f"{family}.")
        layer = _LAYER.fullmatch(bare)
        if layer and int(layer[1]) in places:
            tensors[f"{family}.encoder.layer.{places[int(layer[1])]}.{layer[2]}"] = tensor
        elif bare.startswith(kept) and bare != _COUNTED:
            tensors[bare if bare.startswith("qa_outputs.") else f"{family}.{bare}"] = tensor
    shared = (*_SHARED, *_SHARED_TOO.get(family, ()))
    has_tokenizer = (teacher / "tokenizer.json").is_file()
    metadata = {
        "layers": json.dumps(list(layers)),
        "config": json.dumps({key: config[key] for key in shared}, sort_keys=True),
        "tokenizer": fingerprint.tokenizer(teacher) if has_tokenizer else "",
    }
    with new_file(out_file) as temporary:
        _write(temporary, tensors, metadata)


def origin(file: Path) -> Origin:
    """What `file`, written by `extract_layers`, says of its teacher.

    Raises:
        ModelError: It is no such file.
    """
    try:
        facts = _header(file)[0]["__metadata__"]
        return Origin(tuple(json.loads(facts["layers"])), json.loads(facts["config"]), facts["tokenizer"])
    except (OSError, ValueError, KeyError, OverflowError, MemoryError) as error:
        raise ModelError(
            file,
            expected="initial weights taken from a teacher's layers",
            got=f"{type(error).__name__}: {error}",
            remedy="run the bind stage again",
        ) from error


def _check(teacher: Path, config: Mapping[str, Any], layers: Sequence[int]) -> None:
    if config.get("model_type") not in _FAMILIES:
        raise ModelError(
            teacher,
            expected="a BERT or an ELECTRA, whose layers or words a student can start from",
            got=f"model type {config.get('model_type')!r}",
            remedy="name another folder in init_from, or train from fresh weights",
        )
    count = config["num_hidden_layers"]
    if len(set(layers)) < len(layers) or not all(0 <= layer < count for layer in layers):
        raise ModelError(
            teacher,
            expected=f"different layers from 0 to {count - 1}",
            got=str(list(layers)),
            remedy="correct layers",
        )


@dataclass(frozen=True)
class _RawTensor:
    dtype: str
    shape: tuple[int, ...]
    data: bytes


def _header(file: Path) -> tuple[dict[str, Any], int]:
    """The header of a safetensors file, and where its data begins."""
    with file.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        return json.loads(stream.read(size)), 8 + size


def _tensors(folder: Path) -> Iterator[tuple[str, _RawTensor]]:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelError(
            folder,
            expected="a model folder with model.safetensors",
            got="none",
            remedy="save the model with save_pretrained, or check the path",
        )
    for file in files:
        try:
            header, start = _header(file)
            data = np.memmap(file, mode="r", offset=start)
        except (OSError, ValueError, OverflowError, MemoryError) as error:
            raise ModelError(
                file, expected="a safetensors file", got=str(error), remedy="save the model again"
            ) from error
        for name, entry in header.items():
            if name != "__metadata__":
                begin, end = entry["data_offsets"]
                tensor = _RawTensor(entry["dtype"], tuple(entry["shape"]), data[begin:end].tobytes())
                yield _renamed(name), tensor


def _renamed(name: str) -> str:
    old = next((old for old in _RENAMED if name.endswith(old)), None)
    return name if old is None else name.removesuffix(old) + _RENAMED[old]


def _write(file: Path, tensors: Mapping[str, _RawTensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file: the length of the header, the header in JSON, the bytes."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name, tensor in sorted(tensors.items()):
        begin, end = end, end + len(tensor.data)
        header[name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [begin, end]}
    described = json.dumps(header).encode()
    described += b" " * (-len(described) % 8)  # The format wants the data aligned.
    with file.open("wb") as stream:
        stream.write(len(described).to_bytes(8, "little"))
        stream.write(described)
        for _, tensor in sorted(tensors.items()):
            stream.write(tensor.data)
