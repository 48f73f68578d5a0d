"""A small BERT with a head: any number of layers and widths, fresh or from a teacher's layers."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import (
    BertConfig,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertPreTrainedModel,
)
from transformers.activations import ACT2FN

from pipeline import fingerprint
from pipeline.errors import ModelError
from pipeline.models.head import Head
from pipeline.models.layers import SHARED, extract_layers, origin
from pipeline.models.multi_head import MultiHeadBert, MultiHeadBertConfig
from pipeline.models.vocabulary import Vocabulary
from pipeline.models.warm_start import HEADS
from pipeline.registry import did_you_mean

_CLASSES = {
    "QuestionAnswering": BertForQuestionAnswering,
    "SequenceClassification": BertForSequenceClassification,
    "TokenClassification": BertForTokenClassification,
}


def build(
    tokenizer: Path,
    *,
    num_hidden_layers: int,
    hidden_size: int,
    intermediate_size: int,
    num_attention_heads: int,
    max_length: int = 512,
    hidden_dropout_prob: float = 0.1,
    attention_probs_dropout_prob: float = 0.1,
    hidden_act: str = "gelu",
    init_from: str | None = None,
    layers: Sequence[int] | None = None,
    initial: Path | None = None,
    head: Head | Mapping[str, Head] | None = None,
    seed: int = 0,
) -> BertPreTrainedModel:
    """A new model for the tokens of `tokenizer`.

    Args:
        tokenizer: A folder with tokenizer.json.
        num_hidden_layers: Number of encoder layers.
        hidden_size: Width of a token's state.
        intermediate_size: Width inside the feed-forward part of a layer.
        num_attention_heads: Heads of a layer's attention.
        max_length: Longest input in tokens. Weights from a teacher bring the teacher's.
        hidden_dropout_prob: Dropout of states.
        attention_probs_dropout_prob: Dropout of attention.
        hidden_act: Activation inside the feed-forward part.
        init_from: Folder of a BERT whose layers to start from; None starts from random weights.
        layers: Which of its layers; default the first `num_hidden_layers`.
        initial: What `extract_layers` made of these two. With it, `init_from` is not opened.
        head: What it is to give; None for spans; several by name. A head starts afresh, a lone one of spans
            aside.
        seed: Of the random weights.

    Raises:
        ModelError: The teacher's weights do not fit the shape or the tokenizer.
    """
    vocabulary = Vocabulary.read(tokenizer)
    kind, config_class, own = _kind(head)
    config = config_class(
        vocab_size=vocabulary.size,
        pad_token_id=vocabulary.pad,
        num_hidden_layers=num_hidden_layers,
        hidden_size=hidden_size,
        intermediate_size=intermediate_size,
        num_attention_heads=num_attention_heads,
        max_position_embeddings=max_length,
        hidden_dropout_prob=hidden_dropout_prob,
        attention_probs_dropout_prob=attention_probs_dropout_prob,
        hidden_act=hidden_act,
        **own,
    )
    _check(config)
    if initial is not None:
        return _from_layers(kind, initial, config, tokenizer, seed)
    if init_from is None:
        return _fresh(kind, config, seed)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "initial.safetensors"
        extract_layers(Path(init_from), range(num_hidden_layers) if layers is None else layers, file)
        return _from_layers(kind, file, config, tokenizer, seed)


def _kind(
    head: Head | Mapping[str, Head] | None,
) -> tuple[type[BertPreTrainedModel], type[BertConfig], dict[str, Any]]:
    """The classes of model and configuration, and what the latter says of the head."""
    if head is None:
        return BertForQuestionAnswering, BertConfig, {}
    if isinstance(head, Head):
        return _CLASSES[head.kind], BertConfig, head.config
    heads = {
        name: {"kind": of_one.kind, "num_labels": of_one.config["num_labels"], "is_score": of_one.is_score}
        for name, of_one in head.items()
    }
    return MultiHeadBert, MultiHeadBertConfig, {"heads": heads}


def _check(config: BertConfig) -> None:
    sizes = ("num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads")
    problems = [f"{name} {getattr(config, name)}" for name in sizes if getattr(config, name) < 1]
    if not problems and config.hidden_size % config.num_attention_heads:
        problems.append(f"hidden_size {config.hidden_size} for {config.num_attention_heads} heads")
    rates = ("hidden_dropout_prob", "attention_probs_dropout_prob")
    problems += [f"{name} {getattr(config, name)}" for name in rates if not 0 <= getattr(config, name) < 1]
    if config.hidden_act not in ACT2FN:
        problems.append(f"hidden_act {config.hidden_act!r}; {did_you_mean(config.hidden_act, ACT2FN)}")
    if problems:
        raise ModelError(
            "model of architecture 'bert'",
            expected="sizes from 1, a hidden_size that num_attention_heads divides, rates from 0 to 1",
            got="; ".join(problems),
            remedy="change these options",
        )


def _fresh(kind: type[BertPreTrainedModel], config: BertConfig, seed: int) -> BertPreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kind(config)


def _from_layers(
    kind: type[BertPreTrainedModel], file: Path, config: BertConfig, tokenizer: Path, seed: int
) -> BertPreTrainedModel:
    teacher = origin(file)
    # The teacher's table may be longer than its tokenizer, and its positions more than are used.
    rows = teacher.config["vocab_size"]
    if rows >= config.vocab_size:
        config.vocab_size = rows
    if teacher.config["max_position_embeddings"] >= config.max_position_embeddings:
        config.max_position_embeddings = teacher.config["max_position_embeddings"]
    config.layer_norm_eps = teacher.config["layer_norm_eps"]
    problems = [
        f"{key} {getattr(config, key)} where the teacher has {teacher.config[key]}"
        for key in SHARED
        if getattr(config, key) != teacher.config[key]
    ]
    if len(teacher.layers) != config.num_hidden_layers:
        problems.append(f"num_hidden_layers {config.num_hidden_layers} for layers {list(teacher.layers)}")
    if teacher.tokenizer and teacher.tokenizer != fingerprint.tokenizer(tokenizer):
        problems.append(f"another tokenizer ({tokenizer}) than the teacher's")
    if problems:
        raise ModelError(
            file,
            expected="the shape and tokenizer of the teacher whose layers it starts from",
            got="; ".join(problems),
            remedy="change the model's options, use the teacher's tokenizer, or leave init_from out",
        )
    model = _fresh(kind, config, seed)
    weights = {name: values.to(torch.float32) for name, values in load_file(file).items()}
    missing, unexpected = model.load_state_dict(weights, strict=False)
    foreign = [name for name in (*unexpected, *missing) if not name.removeprefix("bert.").startswith(HEADS)]
    if foreign:
        raise ModelError(
            file,
            expected="the weights of a BERT encoder",
            got=f"missing or unknown {', '.join(foreign)}",
            remedy="check the folder named in init_from",
        )
    return model
