"""QANet: a span reader of convolutions and self-attention, whole and in reading order.

Source: Yu et al. 2018, arXiv:1804.09541, sec. 2. The defaults are the paper's; every size is an option.
Differs: characters pass a convolution before the maximum is taken, as in the BiDAF embedding that the
paper builds on; stochastic depth draws per row, not per batch, and scales what survives, so that nothing
changes at prediction; one dropout follows every second sublayer; the outputs start near 0.

The paper trains with Adam (betas 0.8 and 0.999, epsilon 1e-7), L2 of 3e-7, gradients clipped to norm 5, a
learning rate that grows with the logarithm of the step to 1e-3 over 1,000 steps and then stays, and
predicts with an exponential moving average of the weights (0.9999). All of that is training's.

Input is a pair `question [SEP] passage` with token types 0 and 1, padded at the right.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers import initialization as init

from pipeline.errors import ModelError
from pipeline.models.dropout import Dropout
from pipeline.models.masking import masked_softmax
from pipeline.models.similarity import SimilarityOutput, SimilarityReader
from pipeline.models.span_parts import never_empty, question_and_passage, scattered, span_loss
from pipeline.models.vocabulary import Vocabulary, check_pairs
from pipeline.models.words import WordEmbedding, WordReader, given_vectors, init_words
from pipeline.text.characters import WORD_CHARACTERS


class QANetConfig(PreTrainedConfig):  # type: ignore[no-untyped-call]
    """Sizes of a QANet; `build` says what each is."""

    # Configurations accept keys that they do not know, which type checks of dataclasses would refuse.
    __no_type_check__ = True

    model_type = "qanet"

    vocab_size: int = 1
    pad_token_id: int | None = 0
    unk_token_id: int | None = None
    type_vocab_size: int = 2
    max_position_embeddings: int = 512
    word_size: int = 300
    trainable_words: bool = False
    num_characters: int = 0
    character_size: int = 200
    character_filters: int = 200
    character_kernel_size: int = 5
    num_highways: int = 2
    d_model: int = 128
    num_heads: int = 8
    feed_forward_size: int = 128
    num_convs: int = 4
    kernel_size: int = 7
    num_blocks: int = 7
    num_block_convs: int = 2
    block_kernel_size: int = 5
    num_passes: int = 3
    dropout: float = 0.1
    character_dropout: float = 0.05
    survival: float = 0.9


class Convolution(nn.Module):
    """A depthwise separable convolution along the length.

    The depthwise part is a two-dimensional one over a height of 1: states laid out as they are, width
    last, are then a channels-last image, and need no copy to the layout of `nn.Conv1d`.
    """

    def __init__(self, width: int, kernel_size: int) -> None:
        super().__init__()
        padding = (0, kernel_size // 2)
        self.depthwise = nn.Conv2d(width, width, (1, kernel_size), padding=padding, groups=width, bias=False)
        self.pointwise = nn.Linear(width, width)

    def forward(
        self, states: Float[Tensor, "batch length width"], mask: Bool[Tensor, "batch length"]
    ) -> Float[Tensor, "batch length width"]:
        """What lies beyond a row's end is 0 to its neighbours, as beyond the end of the batch."""
        image = (states * mask[..., None]).transpose(1, 2).unsqueeze(2)  # (batch, width, 1, length)
        convolved: Tensor = self.pointwise(self.depthwise(image).squeeze(2).transpose(1, 2)).relu()
        return convolved


class SelfAttention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.inputs = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(
        self, states: Float[Tensor, "batch length width"], mask: Bool[Tensor, "batch length"]
    ) -> Float[Tensor, "batch length width"]:
        """Each position looks at those of its row where `mask` is True."""
        batch, length, width = states.shape
        heads = self.inputs(states).view(batch, length, 3, self.num_heads, width // self.num_heads)
        query, key, value = heads.permute(2, 0, 3, 1, 4)  # (batch, heads, length, width of a head)
        context = F.scaled_dot_product_attention(query, key, value, mask[:, None, None])
        attended: Tensor = self.output(context.transpose(1, 2).reshape(batch, length, width))
        return attended


class FeedForward(nn.Module):
    """Two linear maps with a ReLU between."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, inner)
        self.output = nn.Linear(inner, width)

    def forward(
        self, states: Float[Tensor, "batch length width"], mask: Bool[Tensor, "batch length"]
    ) -> Float[Tensor, "batch length width"]:
        """The same map at every position; `mask` is there for the sublayers' common shape."""
        mapped: Tensor = self.output(self.inner(states).relu())
        return mapped


class EncoderBlock(nn.Module):
    """Convolutions, self-attention, feed-forward: each on normalised states, each added to them."""

    def __init__(
        self, config: QANetConfig, num_convs: int, kernel_size: int, survivals: Sequence[float]
    ) -> None:
        super().__init__()
        width = config.d_model
        self.sublayers = nn.ModuleList(
            [
                *(Convolution(width, kernel_size) for _ in range(num_convs)),
                SelfAttention(width, config.num_heads),
                FeedForward(width, config.feed_forward_size),
            ]
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in self.sublayers)
        self.survivals = tuple(survivals)
        self.dropout = Dropout(config.dropout)

    def forward(
        self,
        states: Float[Tensor, "batch length width"],
        signal: Float[Tensor, "length width"],
        mask: Bool[Tensor, "batch length"],
    ) -> Float[Tensor, "batch length width"]:
        """`states` after this block; `signal` tells positions apart."""
        states = states + signal
        for ordinal, (norm, sublayer) in enumerate(zip(self.norms, self.sublayers, strict=True)):
            change = sublayer(norm(states), mask)
            if ordinal % 2:
                change = self.dropout(change)
            states = self._add(states, change, self.survivals[ordinal])
        return states

    def _add(self, states: Tensor, change: Tensor, survival: float) -> Tensor:
        """Stochastic depth (Huang et al. 2016, arXiv:1603.09382), drawn for each row."""
        if not self.training or survival == 1:
            return states + change
        kept = torch.rand(len(states), 1, 1, device=states.device) < survival
        return torch.addcmul(states, change.to(states.dtype), kept.to(states.dtype) / survival)


class EncoderStack(nn.Module):
    """Blocks in a row; a sublayer survives the less often the further it is from the input."""

    def __init__(self, config: QANetConfig, num_blocks: int, num_convs: int, kernel_size: int) -> None:
        super().__init__()
        per_block = num_convs + 2
        last = num_blocks * per_block
        self.blocks = nn.ModuleList(
            EncoderBlock(
                config,
                num_convs,
                kernel_size,
                [
                    1 - (block * per_block + sub + 1) / last * (1 - config.survival)
                    for sub in range(per_block)
                ],
            )
            for block in range(num_blocks)
        )

    def forward(
        self,
        states: Float[Tensor, "batch length width"],
        signal: Float[Tensor, "longest width"],
        mask: Bool[Tensor, "batch length"],
    ) -> Float[Tensor, "batch length width"]:
        """`states` after all blocks."""
        for block in self.blocks:
            states = block(states, signal[: states.shape[1]], mask)
        return states


class ContextQueryAttention(nn.Module):
    """Attention from passage to question and back (Seo et al. 2016, arXiv:1611.01603; Xiong et al. 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        # The paper's W0, cut into its parts for the passage, the question and their product.
        self.weight = nn.Parameter(torch.empty(3, width))

    def forward(
        self,
        passage: Float[Tensor, "batch passage width"],
        question: Float[Tensor, "batch question width"],
        passage_mask: Bool[Tensor, "batch passage"],
        question_mask: Bool[Tensor, "batch question"],
    ) -> tuple[Float[Tensor, "batch passage features"], Float[Tensor, "batch passage question"]]:
        """The passage seen through the question, and the similarity of every two words."""
        on_passage, on_question, on_product = self.weight
        similarity = (passage * on_product) @ question.transpose(1, 2)
        similarity = similarity + (passage @ on_passage)[:, :, None] + (question @ on_question)[:, None]
        similarity = similarity.float()
        to_question = masked_softmax(similarity, question_mask[:, None])
        to_passage = masked_softmax(similarity.transpose(1, 2), passage_mask[:, None])
        attended = to_question @ question  # the paper's A
        back = to_question @ (to_passage @ passage)  # the paper's B
        return torch.cat([passage, attended, passage * attended, passage * back], -1), similarity


class Pointer(nn.Linear):
    """A score for each position, of two passes' states side by side."""

    def __init__(self, width: int) -> None:
        super().__init__(width, 1, bias=False)


class QANetForQuestionAnswering(WordReader, SimilarityReader):  # type: ignore[no-untyped-call]
    """QANet with its two span outputs."""

    config_class = QANetConfig
    base_model_prefix = "qanet"
    main_input_name = "input_ids"

    def __init__(self, config: QANetConfig) -> None:
        super().__init__(config)
        self.embedding = WordEmbedding(config, config.d_model)
        self.embedding_encoder = EncoderStack(config, 1, config.num_convs, config.kernel_size)
        self.attention = ContextQueryAttention(config.d_model)
        self.fusion = nn.Linear(4 * config.d_model, config.d_model)
        self.model_encoder = EncoderStack(
            config, config.num_blocks, config.num_block_convs, config.block_kernel_size
        )
        self.dropout = Dropout(config.dropout)
        self.start = Pointer(2 * config.d_model)
        self.end = Pointer(2 * config.d_model)
        self.post_init()  # type: ignore[no-untyped-call]

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, Pointer):
            # States are a sum over all sublayers of all passes, and large: logits begin near 0 none the less.
            init.normal_(module.weight, std=0.002)
        elif isinstance(module, nn.Linear):
            init.xavier_uniform_(module.weight)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.Conv2d):
            init.kaiming_uniform_(module.weight, nonlinearity="linear")
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, ContextQueryAttention):
            bound = 1 / math.sqrt(module.weight.shape[1])
            init.uniform_(module.weight, -bound, bound)
        else:
            init_words(module)

    def forward(
        self,
        input_ids: Int[Tensor, "batch length"],
        token_type_ids: Int[Tensor, "batch length"],
        attention_mask: Int[Tensor, "batch length"],
        character_ids: Int[Tensor, "batch length characters"] | None = None,
        start_positions: Int[Tensor, " batch"] | None = None,
        end_positions: Int[Tensor, " batch"] | None = None,
    ) -> SimilarityOutput:
        """Span logits over the input; off the passage they are `OFF_PASSAGE`.

        Args:
            input_ids: Question, separator, passage.
            token_type_ids: 0 for question and separator, 1 for passage.
            attention_mask: 0 for padding.
            character_ids: The spelling of each word, 0 for none; needed where the model has characters.
            start_positions: First token of the answer, negative or beyond the input for none.
            end_positions: Last token of the answer.
        """
        question_at, passage_at = question_and_passage(token_type_ids, attention_mask.bool())
        embedded = self.embedding(input_ids, character_ids)
        question, passage = question_at.take(embedded), passage_at.take(embedded)
        signal = position_signal(max(question.shape[1], passage.shape[1]), passage)
        keys = never_empty(passage_at.mask)
        question = self.embedding_encoder(question, signal, never_empty(question_at.mask))
        passage = self.embedding_encoder(passage, signal, keys)
        features, similarity = self.attention(passage, question, passage_at.mask, question_at.mask)
        passes = [self.fusion(features)]
        for _ in range(self.config.num_passes):
            passes.append(self.model_encoder(self.dropout(passes[-1]), signal, keys))
        first, second, last = passes[1], passes[min(2, self.config.num_passes)], passes[-1]
        starts = self.start(torch.cat([first, second], -1)).squeeze(-1)
        ends = self.end(torch.cat([first, last], -1)).squeeze(-1)
        start_logits = scattered(starts, passage_at, input_ids.shape[1])
        end_logits = scattered(ends, passage_at, input_ids.shape[1])
        loss = None
        if start_positions is not None and end_positions is not None:
            loss = span_loss(start_logits, end_logits, start_positions, end_positions)
        return SimilarityOutput(
            loss=loss, start_logits=start_logits, end_logits=end_logits, similarity=similarity
        )


def position_signal(length: int, like: Float[Tensor, "batch rows width"]) -> Float[Tensor, "length width"]:
    """Sines and cosines of geometrically spaced wavelengths (Vaswani et al. 2017, sec. 3.5)."""
    half = like.shape[2] // 2
    rates = torch.exp(torch.arange(half, device=like.device) * (-math.log(1e4) / max(half - 1, 1)))
    angles = torch.arange(length, device=like.device)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)


def build(
    tokenizer: Path,
    *,
    max_length: int = 512,
    word_size: int | None = None,
    trainable_words: bool = False,
    character_size: int = 200,
    character_filters: int = 200,
    character_kernel_size: int = 5,
    num_highways: int = 2,
    d_model: int = 128,
    num_heads: int = 8,
    feed_forward_size: int | None = None,
    num_convs: int = 4,
    kernel_size: int = 7,
    num_blocks: int = 7,
    num_block_convs: int = 2,
    block_kernel_size: int = 5,
    num_passes: int = 3,
    dropout: float = 0.1,
    character_dropout: float = 0.05,
    survival: float = 0.9,
    seed: int = 0,
) -> QANetForQuestionAnswering:
    """A new QANet for the tokens of `tokenizer`.

    Args:
        tokenizer: A folder with tokenizer.json, and characters.json where words are spelt out, and
            vectors.safetensors where they have vectors.
        max_length: Longest input in tokens, noted in the configuration; the shape does not depend on it.
        word_size: Width of word vectors; default that of the given vectors, or 300.
        trainable_words: Train the word vectors too.
        character_size: Width of a character's vector.
        character_filters: Width of what a word's characters amount to.
        character_kernel_size: Characters that the convolution sees at once.
        num_highways: Highway layers over words and characters.
        d_model: Width of states.
        num_heads: Heads of self-attention.
        feed_forward_size: Width inside the feed-forward sublayer; default `d_model`.
        num_convs: Convolutions of the embedding encoder block.
        kernel_size: Their kernel.
        num_blocks: Blocks of the model encoder.
        num_block_convs: Convolutions of each.
        block_kernel_size: Their kernel.
        num_passes: Times that the model encoder runs over the passage.
        dropout: After every second sublayer, in the embedding and between passes.
        character_dropout: Of characters' vectors.
        survival: How often the last sublayer of a stack is kept in training.
        seed: Of the random weights.

    Raises:
        ModelError: The sizes do not fit one another or the vectors, fixed words have no vectors, or the
            tokenizer does not tell question and passage apart.
    """
    check_pairs(tokenizer, "qanet")
    vocabulary = Vocabulary.read(tokenizer)
    vectors = given_vectors(tokenizer, vocabulary, word_size, trainable_words=trainable_words)
    config = QANetConfig(
        vocab_size=vocabulary.size,
        pad_token_id=vocabulary.pad,
        unk_token_id=vocabulary.unknown,
        max_position_embeddings=max_length,
        word_size=vectors.shape[1] if vectors is not None else word_size or 300,
        trainable_words=trainable_words,
        num_characters=vocabulary.num_characters,
        character_size=character_size,
        character_filters=character_filters,
        character_kernel_size=character_kernel_size,
        num_highways=num_highways,
        d_model=d_model,
        num_heads=num_heads,
        feed_forward_size=feed_forward_size or d_model,
        num_convs=num_convs,
        kernel_size=kernel_size,
        num_blocks=num_blocks,
        num_block_convs=num_block_convs,
        block_kernel_size=block_kernel_size,
        num_passes=num_passes,
        dropout=dropout,
        character_dropout=character_dropout,
        survival=survival,
    )
    _check(config)
    return QANetForQuestionAnswering.fresh(config, vectors, seed)


def _check(config: QANetConfig) -> None:
    sizes = ("word_size", "character_size", "character_filters", "d_model", "num_heads", "feed_forward_size")
    problems = [
        f"{name} {getattr(config, name)}"
        for name in (*sizes, "num_blocks", "num_passes", "character_kernel_size")
        if getattr(config, name) < 1
    ]
    kernels = ("kernel_size", config.kernel_size), ("block_kernel_size", config.block_kernel_size)
    problems += [f"{name} {value}, which is not odd" for name, value in kernels if value % 2 == 0]
    if not problems and (config.d_model % 2 or config.d_model % config.num_heads):
        problems.append(f"d_model {config.d_model} with num_heads {config.num_heads}")
    if config.character_kernel_size > WORD_CHARACTERS:
        problems.append(f"character_kernel_size {config.character_kernel_size}, beyond {WORD_CHARACTERS}")
    rates = ("dropout", config.dropout), ("character_dropout", config.character_dropout)
    problems += [f"{name} {rate}" for name, rate in rates if not 0 <= rate < 1]
    if not 0 < config.survival <= 1:
        problems.append(f"survival {config.survival}")
    if problems:
        raise ModelError(
            "model of architecture 'qanet'",
            expected="sizes from 1, odd kernels, an even d_model that num_heads divides, rates from 0 to 1",
            got="; ".join(problems),
            remedy="change these options",
        )
