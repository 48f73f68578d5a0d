"""A small BERT with a head: any number of layers and widths, fresh or from a teacher's layers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import (
    BertConfig,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    BertPreTrainedModel,
)

from pipeline.models.encoder import check_sizes, first_weights
from pipeline.models.head import Head
from pipeline.models.multi_head import MultiHeadBert, MultiHeadBertConfig
from pipeline.models.vocabulary import Vocabulary

_CLASSES = {
    "Model": BertModel,
    "QuestionAnswering": BertForQuestionAnswering,
    "SequenceClassification": BertForSequenceClassification,
    "TokenClassification": BertForTokenClassification,
}
_SIZES = ("num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads")


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
        init_from: Folder, or name on the hub, of the BERT whose layers to start from, else random.
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
    check_sizes(config, "bert", _SIZES)
    return first_weights(
        kind, config, tokenizer, init_from=init_from, layers=layers, initial=initial, seed=seed
    )


def _kind(
    head: Head | Mapping[str, Head] | None,
) -> tuple[type[BertPreTrainedModel], type[BertConfig], dict[str, Any]]:
    """The classes of model and configuration, and what the latter says of the head."""
    if head is None:
        return BertForQuestionAnswering, BertConfig, {}
    if isinstance(head, Head):
        return _CLASSES[head.kind], BertConfig, head.config
    heads = {
        name: {
            "kind": of_one.kind,
            "num_labels": of_one.config["num_labels"],
            "is_score": of_one.is_score,
            "problem_type": of_one.problem_type,
            "classes": list(of_one.classes),
        }
        for name, of_one in head.items()
    }
    return MultiHeadBert, MultiHeadBertConfig, {"heads": heads}
