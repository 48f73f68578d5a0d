"""Encoders of transformers with a head: their sizes checked, their first weights fresh or a teacher's."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import load_file
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN

from pipeline import fingerprint
from pipeline.errors import ModelError
from pipeline.hub import local_folder
from pipeline.models.layers import Origin, extract_layers, origin
from pipeline.models.warm_start import HEADS
from pipeline.registry import did_you_mean

Encoder = TypeVar("Encoder", bound=PreTrainedModel)


def check_sizes(config: PreTrainedConfig, architecture: str, sizes: Sequence[str]) -> None:
    """Stop where the sizes and rates of an encoder are none.

    Raises:
        ModelError: So it is.
    """
    problems = [f"{name} {getattr(config, name)}" for name in sizes if getattr(config, name) < 1]
    if not problems and config.hidden_size % config.num_attention_heads:
        problems.append(f"hidden_size {config.hidden_size} for {config.num_attention_heads} heads")
    rates = ("hidden_dropout_prob", "attention_probs_dropout_prob")
    problems += [f"{name} {getattr(config, name)}" for name in rates if not 0 <= getattr(config, name) < 1]
    if config.hidden_act not in ACT2FN:
        problems.append(f"hidden_act {config.hidden_act!r}; {did_you_mean(config.hidden_act, ACT2FN)}")
    if problems:
        raise ModelError(
            f"model of architecture {architecture!r}",
            expected="sizes from 1, a hidden_size that num_attention_heads divides, rates from 0 to 1",
            got="; ".join(problems),
            remedy="change these options",
        )


def first_weights(
    kind: type[Encoder],
    config: PreTrainedConfig,
    tokenizer: Path,
    *,
    init_from: str | None,
    layers: Sequence[int] | None,
    initial: Path | None,
    seed: int,
) -> Encoder:
    """A model with random weights, or with those of a teacher's layers and a fresh head.

    Args:
        kind: Its class.
        config: Its configuration, which takes over what comes with a teacher's weights.
        tokenizer: The folder of its tokenizer.
        init_from: As of an architecture's `build`, like `layers` and `initial`.
        layers: Which layers of the teacher.
        initial: What `extract_layers` made of these.
        seed: Of the random weights.

    Raises:
        ModelError: The teacher's weights do not fit the shape or the tokenizer.
    """
    if initial is not None:
        return _from_layers(kind, initial, config, tokenizer, seed)
    if init_from is None:
        return _fresh(kind, config, seed)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "initial.safetensors"
        chosen = range(config.num_hidden_layers) if layers is None else layers
        extract_layers(local_folder(init_from), chosen, file)
        return _from_layers(kind, file, config, tokenizer, seed)


def tokenizer_problems(teacher: Origin, tokenizer: Path) -> list[str]:
    """What is wrong between the tokenizer of a teacher whose weights are taken and the student's."""
    same = not teacher.tokenizer or teacher.tokenizer == fingerprint.tokenizer(tokenizer)
    return [] if same else [f"another tokenizer ({tokenizer}) than the teacher's"]


def _fresh(kind: type[Encoder], config: PreTrainedConfig, seed: int) -> Encoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kind(config)


def _from_layers(
    kind: type[Encoder], file: Path, config: PreTrainedConfig, tokenizer: Path, seed: int
) -> Encoder:
    teacher = origin(file)
    # The teacher's table may be longer than its tokenizer, and its positions more than are used.
    rows = teacher.config["vocab_size"]
    if rows >= config.vocab_size:
        config.vocab_size = rows
    if teacher.config["max_position_embeddings"] >= config.max_position_embeddings:
        config.max_position_embeddings = teacher.config["max_position_embeddings"]
    config.layer_norm_eps = teacher.config["layer_norm_eps"]
    problems = [
        f"{key} {getattr(config, key, None)} where the teacher has {value}"
        for key, value in teacher.config.items()
        if getattr(config, key, None) != value
    ]
    if len(teacher.layers) != config.num_hidden_layers:
        problems.append(f"num_hidden_layers {config.num_hidden_layers} for layers {list(teacher.layers)}")
    problems += tokenizer_problems(teacher, tokenizer)
    if problems:
        raise ModelError(
            file,
            expected="the shape and tokenizer of the teacher whose layers it starts from",
            got="; ".join(problems),
            remedy="change the model's options, use the teacher's tokenizer, or leave init_from out",
        )
    model = _fresh(kind, config, seed)
    weights = {name: values.to(torch.float32) for name, values in load_file(file).items()}
    prefix = f"{model.base_model_prefix}."
    if model.base_model is model:  # an encoder by itself: no head, and no prefix that tells it from one
        weights = {
            name.removeprefix(prefix): values for name, values in weights.items() if name.startswith(prefix)
        }
    missing, unexpected = model.load_state_dict(weights, strict=False)
    foreign = [name for name in (*unexpected, *missing) if not name.removeprefix(prefix).startswith(HEADS)]
    if foreign:
        raise ModelError(
            file,
            expected=f"the weights of an encoder like that of {kind.__name__}",
            got=f"{len(foreign)} missing or unknown, such as {foreign[0]}",
            remedy="check the folder named in init_from",
        )
    return model
