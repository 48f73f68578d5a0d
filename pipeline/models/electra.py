"""A small ELECTRA with a head: any number of layers and widths, fresh or from a teacher's layers.

ELECTRA-small (Clark et al. 2020, arXiv:2003.10555) has 12 layers, 256 wide, 1024 inside, 4 heads and words
128 wide; its 14 M parameters are those of TextBrewer's ELECTRA-small.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from transformers import (
    ElectraConfig,
    ElectraForQuestionAnswering,
    ElectraForSequenceClassification,
    ElectraForTokenClassification,
    ElectraPreTrainedModel,
)

from pipeline.errors import ModelError
from pipeline.models.encoder import check_sizes, first_weights
from pipeline.models.head import Head
from pipeline.models.vocabulary import Vocabulary

_CLASSES = {
    "QuestionAnswering": ElectraForQuestionAnswering,
    "SequenceClassification": ElectraForSequenceClassification,
    "TokenClassification": ElectraForTokenClassification,
}
_SIZES = ("num_hidden_layers", "hidden_size", "embedding_size", "intermediate_size", "num_attention_heads")


def build(
    tokenizer: Path,
    *,
    num_hidden_layers: int,
    hidden_size: int,
    embedding_size: int,
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
) -> ElectraPreTrainedModel:
    """A new model for the tokens of `tokenizer`.

    Args:
        tokenizer: A folder with tokenizer.json.
        num_hidden_layers: Number of encoder layers.
        hidden_size: Width of a token's state.
        embedding_size: Width of a word's vector, which is mapped to that of a state where they differ.
        intermediate_size: Width inside the feed-forward part of a layer.
        num_attention_heads: Heads of a layer's attention.
        max_length: Longest input in tokens. Weights from a teacher bring the teacher's.
        hidden_dropout_prob: Dropout of states.
        attention_probs_dropout_prob: Dropout of attention.
        hidden_act: Activation inside the feed-forward part.
        init_from: Folder, or name on the hub, of the ELECTRA whose layers to start from, else random.
        layers: Which of its layers; default the first `num_hidden_layers`.
        initial: What `extract_layers` made of these two. With it, `init_from` is not opened.
        head: What it is to give; None for spans. It starts afresh, one of spans aside.
        seed: Of the random weights.

    Raises:
        ModelError: The teacher's weights do not fit the shape or the tokenizer, or several heads are wanted.
    """
    if isinstance(head, Mapping):
        raise ModelError(
            "model of architecture 'electra'", expected="one head", got="several heads", remedy="use bert"
        )
    vocabulary = Vocabulary.read(tokenizer)
    config = ElectraConfig(
        vocab_size=vocabulary.size,
        pad_token_id=vocabulary.pad,
        num_hidden_layers=num_hidden_layers,
        hidden_size=hidden_size,
        embedding_size=embedding_size,
        intermediate_size=intermediate_size,
        num_attention_heads=num_attention_heads,
        max_position_embeddings=max_length,
        hidden_dropout_prob=hidden_dropout_prob,
        attention_probs_dropout_prob=attention_probs_dropout_prob,
        hidden_act=hidden_act,
        **(head.config if head is not None else {}),
    )
    check_sizes(config, "electra", _SIZES)
    kind = _CLASSES["QuestionAnswering" if head is None else head.kind]
    return first_weights(
        kind, config, tokenizer, init_from=init_from, layers=layers, initial=initial, seed=seed
    )
