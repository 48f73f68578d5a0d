"""A model folder as others load it: weights, config and tokenizer, nothing of the training."""

import json
from pathlib import Path

from transformers import PreTrainedModel

from pipeline.errors import ModelError
from pipeline.files import read_json
from pipeline.models.quiet import quiet

# A tokenizer folder may hold more (word vectors, which would pass for weights).
_COPIED = ("tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "characters.json")


def publish(model: PreTrainedModel, tokenizer: Path, folder: Path) -> None:
    """Write `model` and the tokenizer of folder `tokenizer` into `folder`.

    The tokenizer loses its truncation and padding: whoever loads it sets their own, and none is cut short
    by a limit that came with a checkpoint.
    """
    with quiet():
        model.save_pretrained(folder)
    path = tokenizer / "tokenizer.json"
    described = read_json(path, what="a tokenizer.json")
    if not isinstance(described, dict):
        raise ModelError(path, expected="a tokenizer", got="other JSON", remedy="save the tokenizer again")
    unlimited = {**described, "truncation": None, "padding": None}
    (folder / "tokenizer.json").write_text(json.dumps(unlimited, ensure_ascii=False), encoding="utf-8")
    for name in _COPIED:
        source = tokenizer / name
        if source.is_file():
            (folder / name).write_bytes(source.read_bytes())
