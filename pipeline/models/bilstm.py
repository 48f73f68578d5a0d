"""A BiLSTM that makes a vector of a sentence, and classifies one sentence or two by it, in reading order.

Source: Wu et al. 2020, Towards Non-task-specific Distillation of BERT via Sentence Representation
Approximation, arXiv:2004.03097, sec. 3 and 4.3.
Differs: where a model is built for one task from the start, its classifier waits while the encoder learns
from sentences alone.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence
from transformers import PreTrainedConfig
from transformers.modeling_outputs import BaseModelOutput, SequenceClassifierOutput
from transformers.utils.generic import ModelOutput

from pipeline.errors import ModelError
from pipeline.models.dropout import Dropout
from pipeline.models.head import Head
from pipeline.models.positions import Positions
from pipeline.models.vocabulary import Vocabulary, check_pairs
from pipeline.models.words import WordReader, given_vectors, init_recurrent


class BiLSTMConfig(PreTrainedConfig):  # type: ignore[no-untyped-call]
    """Sizes of a BiLSTM; `build` says what each is. Its one layer is the sentence's vector."""

    # Configurations accept keys that they do not know, which type checks of dataclasses would refuse.
    __no_type_check__ = True

    model_type = "bilstm"

    vocab_size: int = 1
    pad_token_id: int | None = 0
    type_vocab_size: int = 2
    max_position_embeddings: int = 512
    num_hidden_layers: int = 1
    word_size: int = 300
    trainable_words: bool = True
    lstm_size: int = 512
    hidden_size: int = 768
    classifier_size: int = 256
    pairs: bool = False
    dropout: float = 0.1


class BiLSTMModel(WordReader):  # type: ignore[no-untyped-call]
    """Words, a BiLSTM, and a sentence's vector from its last states; of two sentences the first one's."""

    config_class = BiLSTMConfig
    base_model_prefix = "bilstm"
    main_input_name = "input_ids"

    def __init__(self, config: BiLSTMConfig) -> None:
        super().__init__(config)
        self.words = nn.Embedding(config.vocab_size, config.word_size)
        self.words.weight.requires_grad_(config.trainable_words)
        self.dropout = Dropout(config.dropout)
        self.lstm = nn.LSTM(config.word_size, config.lstm_size, batch_first=True, bidirectional=True)
        self.sentence = nn.Linear(2 * config.lstm_size, config.hidden_size, bias=False)
        self.post_init()  # type: ignore[no-untyped-call]

    def _init_weights(self, module: nn.Module) -> None:
        init_recurrent(module)

    def get_input_embeddings(self) -> nn.Embedding:
        """The table of word vectors."""
        return self.words

    def forward(
        self,
        input_ids: Int[Tensor, "batch length"],
        attention_mask: Int[Tensor, "batch length"] | None = None,
        token_type_ids: Int[Tensor, "batch length"] | None = None,
        output_hidden_states: bool = False,
        **unused: Any,
    ) -> ModelOutput:
        """What is made of a sentence, or of two.

        Args:
            input_ids: A sentence; or two, the first one with a separator behind it.
            attention_mask: 0 for padding, at the right.
            token_type_ids: 1 for the second sentence.
            output_hidden_states: Give the word vectors, and the vector of the first or only sentence at each
                of its row's tokens.
            unused: What other models read, and this one does not.
        """
        used = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        is_second = torch.zeros_like(used) if token_type_ids is None else token_type_ids * used
        num_second = is_second.sum(1)
        num_first = used.sum(1) - num_second
        embedded = self.words(input_ids)
        is_pair = (num_second > 0).long()
        first = self._encoded(embedded, torch.stack([torch.zeros_like(num_first), num_first - is_pair], 1))
        sentence = self.sentence(first).tanh()
        states = (embedded, sentence[:, None].expand(-1, input_ids.shape[1], -1))
        second = torch.stack([num_first, num_first + num_second], 1)
        return self._output(embedded, first, second, sentence, states if output_hidden_states else None)

    def _output(
        self,
        embedded: Float[Tensor, "batch length words"],
        first: Float[Tensor, "batch states"],
        second: Int[Tensor, "batch 2"],
        sentence: Float[Tensor, "batch width"],
        states: tuple[Tensor, ...] | None,
    ) -> ModelOutput:
        """The first sentence's vector as the state of every token; `second` is where another one stands."""
        return BaseModelOutput(
            last_hidden_state=sentence[:, None].expand(-1, embedded.shape[1], -1), hidden_states=states
        )

    def _encoded(
        self, embedded: Float[Tensor, "batch length words"], ranges: Int[Tensor, "batch 2"]
    ) -> Float[Tensor, "batch states"]:
        """The last states of both directions, in float32; 0 where there is nothing to read."""
        at = Positions.of(ranges, embedded.device)
        is_there: Bool[Tensor, "batch 1"] = at.mask.any(1, keepdim=True)
        with torch.autocast(embedded.device.type, enabled=False):
            words = self.dropout(at.take(embedded).float())
            lengths = at.mask.sum(1).clamp(min=1).cpu()
            packed = pack_padded_sequence(words, lengths, batch_first=True, enforce_sorted=False)
            last = self.lstm(packed)[1][0]
        return torch.cat([last[0], last[1]], -1) * is_there


class BiLSTMForSequenceClassification(BiLSTMModel):  # type: ignore[no-untyped-call]
    """A classifier of a sentence's vector, or of a comparison of two sentences' last states."""

    def __init__(self, config: BiLSTMConfig) -> None:
        super().__init__(config)
        self.classifier = nn.Sequential(
            nn.Linear(8 * config.lstm_size if config.pairs else config.hidden_size, config.classifier_size),
            nn.ReLU(),
            Dropout(config.dropout),
            nn.Linear(config.classifier_size, config.num_labels),  # type: ignore[arg-type]
        )
        self.post_init()  # type: ignore[no-untyped-call]

    def _output(
        self,
        embedded: Float[Tensor, "batch length words"],
        first: Float[Tensor, "batch states"],
        second: Int[Tensor, "batch 2"],
        sentence: Float[Tensor, "batch width"],
        states: tuple[Tensor, ...] | None,
    ) -> SequenceClassifierOutput:
        """Logits of the classes."""
        features = sentence
        if self.config.pairs:
            other = self._encoded(embedded, second)
            features = torch.cat([first, other, (first - other).abs(), first * other], -1)
        return SequenceClassifierOutput(logits=self.classifier(self.dropout(features)), hidden_states=states)


_CLASSES = {"Model": BiLSTMModel, "SequenceClassification": BiLSTMForSequenceClassification}


def build(
    tokenizer: Path,
    *,
    pairs: bool = False,
    max_length: int = 512,
    word_size: int | None = None,
    trainable_words: bool = True,
    lstm_size: int = 512,
    sentence_size: int = 768,
    classifier_size: int = 256,
    dropout: float = 0.1,
    head: Head | Mapping[str, Head] | None = None,
    seed: int = 0,
) -> BiLSTMModel:
    """A new BiLSTM for the tokens of `tokenizer`.

    Args:
        tokenizer: A folder with tokenizer.json, and vectors.safetensors where words have vectors.
        pairs: Classify two sentences, by their last states, their distance and their product.
        max_length: Longest input in tokens, noted in the configuration; the shape does not depend on it.
        word_size: Width of word vectors; default that of the given vectors, or 300.
        trainable_words: Train the word vectors too.
        lstm_size: Units of the LSTM, each way.
        sentence_size: Width of a sentence's vector: the teacher's.
        classifier_size: Width inside the classifier.
        dropout: Of word vectors, of what is classified, and inside the classifier.
        head: The classes; or none, for sentences' vectors alone. A BiLSTM does nothing else.
        seed: Of the random weights.

    Raises:
        ModelError: The sizes do not fit one another or the vectors, another head is wanted, or the tokenizer
            does not tell the texts of a pair apart.
    """
    if not isinstance(head, Head) or head.kind not in _CLASSES:
        raise ModelError(
            "model of architecture 'bilstm'",
            expected="one task over whole rows, such as classification or regression",
            got="spans" if head is None else "several heads" if isinstance(head, Mapping) else "tags",
            remedy="use bert",
        )
    if pairs:
        check_pairs(tokenizer, "bilstm")
    vocabulary = Vocabulary.read(tokenizer)
    vectors = given_vectors(tokenizer, vocabulary, word_size, trainable_words=trainable_words)
    sizes = {"lstm_size": lstm_size, "sentence_size": sentence_size, "classifier_size": classifier_size}
    problems = [f"{name} {size}" for name, size in sizes.items() if size < 1]
    problems += [f"dropout {dropout}"] if not 0 <= dropout < 1 else []
    if problems:
        raise ModelError(
            "model of architecture 'bilstm'",
            expected="sizes from 1, and rates from 0 to 1",
            got="; ".join(problems),
            remedy="change these options",
        )
    config = BiLSTMConfig(
        vocab_size=vocabulary.size,
        pad_token_id=vocabulary.pad,
        max_position_embeddings=max_length,
        word_size=vectors.shape[1] if vectors is not None else word_size or 300,
        trainable_words=trainable_words,
        lstm_size=lstm_size,
        hidden_size=sentence_size,
        classifier_size=classifier_size,
        pairs=pairs,
        dropout=dropout,
        **head.config,
    )
    return _CLASSES[head.kind].fresh(config, vectors, seed)
