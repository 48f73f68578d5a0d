"""A BiGRU that tags words, or classifies what it has read, on the words of its teacher, in reading order.

Source: Yang et al. 2020, TextBrewer, arXiv:2002.12620, sec. 4.1: one layer, 768 units, and word vectors that
start as the teacher's.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from transformers import PreTrainedConfig
from transformers.modeling_outputs import SequenceClassifierOutput, TokenClassifierOutput

from pipeline.errors import ModelError
from pipeline.hub import local_folder
from pipeline.models.dropout import Dropout
from pipeline.models.encoder import tokenizer_problems
from pipeline.models.head import Head
from pipeline.models.layers import extract_layers, origin
from pipeline.models.multi_head import ROWS, TOKENS
from pipeline.models.vocabulary import Vocabulary
from pipeline.models.words import WordReader, given_vectors, init_recurrent


class BiGRUConfig(PreTrainedConfig):  # type: ignore[no-untyped-call]
    """Sizes of a BiGRU; `build` says what each is. Its one layer is as wide as both directions."""

    # Configurations accept keys that they do not know, which type checks of dataclasses would refuse.
    __no_type_check__ = True

    model_type = "bigru"

    vocab_size: int = 1
    pad_token_id: int | None = 0
    type_vocab_size: int = 2
    max_position_embeddings: int = 512
    num_hidden_layers: int = 1
    word_size: int = 768
    trainable_words: bool = True
    hidden_size: int = 1536
    dropout: float = 0.1


class _BiGRU(WordReader):  # type: ignore[no-untyped-call]
    """Words and a layer of gated recurrent units each way; what is read off them is said by its kinds."""

    config_class = BiGRUConfig
    base_model_prefix = "bigru"
    main_input_name = "input_ids"

    def __init__(self, config: BiGRUConfig) -> None:
        super().__init__(config)
        self.words = nn.Embedding(config.vocab_size, config.word_size)
        self.words.weight.requires_grad_(config.trainable_words)
        self.dropout = Dropout(config.dropout)
        self.gru = nn.GRU(config.word_size, config.hidden_size // 2, batch_first=True, bidirectional=True)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)  # type: ignore[arg-type]
        self.post_init()  # type: ignore[no-untyped-call]

    def _init_weights(self, module: nn.Module) -> None:
        init_recurrent(module)

    def get_input_embeddings(self) -> nn.Embedding:
        """The table of word vectors."""
        return self.words

    def _read(
        self, input_ids: Int[Tensor, "batch length"], attention_mask: Int[Tensor, "batch length"] | None
    ) -> tuple[
        Float[Tensor, "batch length words"],
        Float[Tensor, "batch length states"],
        Float[Tensor, "batch states"],
    ]:
        """Word vectors, states at each token, and the last ones of both directions; states are float32."""
        words = self.words(input_ids)
        used = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        with torch.autocast(words.device.type, enabled=False):
            packed = pack_padded_sequence(
                self.dropout(words).float(),
                used.sum(1).clamp(min=1).cpu(),
                batch_first=True,
                enforce_sorted=False,
            )
            read, last = self.gru(packed)
            states = pad_packed_sequence(read, batch_first=True, total_length=input_ids.shape[1])[0]
        return words, states, torch.cat([last[0], last[1]], -1)


class BiGRUForTokenClassification(_BiGRU):  # type: ignore[no-untyped-call]
    """A tag for each token, from the states of both directions there."""

    def forward(
        self,
        input_ids: Int[Tensor, "batch length"],
        attention_mask: Int[Tensor, "batch length"] | None = None,
        output_hidden_states: bool = False,
        **unused: Any,
    ) -> TokenClassifierOutput:
        """Logits of each token's tags.

        Args:
            input_ids: Tokens.
            attention_mask: 0 for padding, at the right.
            output_hidden_states: Give the word vectors and the states too.
            unused: What other models read, and this one does not.
        """
        words, states, _ = self._read(input_ids, attention_mask)
        return TokenClassifierOutput(
            logits=self.classifier(self.dropout(states)),
            hidden_states=(words, states) if output_hidden_states else None,
        )


class BiGRUForSequenceClassification(_BiGRU):  # type: ignore[no-untyped-call]
    """A row's classes, from the last states of both directions."""

    def forward(
        self,
        input_ids: Int[Tensor, "batch length"],
        attention_mask: Int[Tensor, "batch length"] | None = None,
        output_hidden_states: bool = False,
        **unused: Any,
    ) -> SequenceClassifierOutput:
        """Logits of each row's classes; arguments as of the tagger."""
        words, states, last = self._read(input_ids, attention_mask)
        return SequenceClassifierOutput(
            logits=self.classifier(self.dropout(last)),
            hidden_states=(words, states) if output_hidden_states else None,
        )


_CLASSES = {TOKENS: BiGRUForTokenClassification, ROWS: BiGRUForSequenceClassification}


def build(
    tokenizer: Path,
    *,
    max_length: int = 512,
    word_size: int | None = None,
    trainable_words: bool = True,
    gru_size: int = 768,
    dropout: float = 0.1,
    init_from: str | None = None,
    initial: Path | None = None,
    head: Head | Mapping[str, Head] | None = None,
    seed: int = 0,
) -> WordReader:
    """A new BiGRU for the tokens of `tokenizer`.

    Args:
        tokenizer: A folder with tokenizer.json, and vectors.safetensors where words have vectors.
        max_length: Longest input in tokens, noted in the configuration; the shape does not depend on it.
        word_size: Width of word vectors; default that of the given ones, or 768.
        trainable_words: Train the word vectors too.
        gru_size: Units each way.
        dropout: Of word vectors, and of what is classified.
        init_from: Folder, or name on the hub, of a BERT or ELECTRA whose table of words to start from.
        initial: What `extract_layers` made of it, of no layers. With it, `init_from` is not opened.
        head: Tags, or classes of rows.
        seed: Of the random weights.

    Raises:
        ModelError: The sizes do not fit one another or the vectors, or another head is wanted.
    """
    if not isinstance(head, Head) or head.kind not in _CLASSES:
        raise ModelError(
            "model of architecture 'bigru'",
            expected="one task over words or whole rows, such as tagging",
            got="several heads" if isinstance(head, Mapping) else "spans",
            remedy="use bert",
        )
    problems = [f"gru_size {gru_size}"] if gru_size < 1 else []
    problems += [f"dropout {dropout}"] if not 0 <= dropout < 1 else []
    if problems:
        raise ModelError(
            "model of architecture 'bigru'",
            expected="sizes from 1, and rates from 0 to 1",
            got="; ".join(problems),
            remedy="change these options",
        )
    vocabulary = Vocabulary.read(tokenizer)
    vectors: Tensor | None
    if initial is not None:
        vectors = _teachers_words(initial, tokenizer, vocabulary, word_size)
    elif init_from is not None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "initial.safetensors"
            extract_layers(local_folder(init_from), [], file)
            vectors = _teachers_words(file, tokenizer, vocabulary, word_size)
    else:
        vectors = given_vectors(tokenizer, vocabulary, word_size, trainable_words=trainable_words)
    config = BiGRUConfig(
        # The teacher's table may be longer than its tokenizer.
        vocab_size=vocabulary.size if vectors is None else len(vectors),
        pad_token_id=vocabulary.pad,
        max_position_embeddings=max_length,
        word_size=vectors.shape[1] if vectors is not None else word_size or 768,
        trainable_words=trainable_words,
        hidden_size=2 * gru_size,
        dropout=dropout,
        **head.config,
    )
    kind: type[WordReader] = _CLASSES[head.kind]
    return kind.fresh(config, vectors, seed)


def _teachers_words(
    file: Path, tokenizer: Path, vocabulary: Vocabulary, word_size: int | None
) -> Float[Tensor, "vocabulary size"]:
    teacher, (vectors,) = origin(file), load_file(file).values()
    problems = tokenizer_problems(teacher, tokenizer)
    if len(vectors) < vocabulary.size:
        problems.append(f"{len(vectors)} words for {vocabulary.size} tokens")
    if word_size not in (None, vectors.shape[1]):
        problems.append(f"word_size {word_size} where the teacher has {vectors.shape[1]}")
    if problems:
        raise ModelError(
            file,
            expected="the words and tokenizer of the teacher whose table it starts from",
            got="; ".join(problems),
            remedy="leave word_size out, use the teacher's tokenizer, or leave init_from out",
        )
    return vectors.float()
