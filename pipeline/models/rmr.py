"""RMR: a reader that aligns question and passage in several rounds and points twice, in reading order.

Source: Hu et al. 2018, Reinforced Mnemonic Reader, arXiv:1705.02798, sec. 3, as the reader of Hu et al. 2018,
Attention-Guided Answer Distillation, arXiv:1808.07644, sec. 2.1 and 4.2.
Differs: no ELMo, part-of-speech or entity features, and no question category: words, characters and exact
matches alone; characters pass a convolution and a maximum, as in BiDAF; the end depends on the start's own
state, so that p2(l|k) is a row for each k; supervised training only. The second paper gives 6.9 million
parameters and no sizes: with 128 units each way there are 6.8 million beside 300-d word vectors.

Input is a pair `question [SEP] passage` with token types 0 and 1, padded at the right.
"""

import math
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from transformers import PreTrainedConfig
from transformers import initialization as init

from pipeline.errors import ModelError
from pipeline.models.dropout import Dropout
from pipeline.models.masking import OFF_PASSAGE, masked_softmax
from pipeline.models.positions import Positions
from pipeline.models.similarity import SimilarityReader
from pipeline.models.span_parts import question_and_passage, scattered, span_loss
from pipeline.models.two_step import TwoStepOutput, TwoStepReader
from pipeline.models.vocabulary import Vocabulary, check_pairs
from pipeline.models.words import WordEmbedding, WordReader, given_vectors, init_recurrent
from pipeline.text.characters import WORD_CHARACTERS


class RMRConfig(PreTrainedConfig):  # type: ignore[no-untyped-call]
    """Sizes of an RMR; `build` says what each is."""

    # Configurations accept keys that they do not know, which type checks of dataclasses would refuse.
    __no_type_check__ = True

    model_type = "rmr"

    two_step: bool = True
    vocab_size: int = 1
    pad_token_id: int | None = 0
    unk_token_id: int | None = None
    type_vocab_size: int = 2
    max_position_embeddings: int = 512
    word_size: int = 300
    trainable_words: bool = False
    num_characters: int = 0
    character_size: int = 50
    character_filters: int = 100
    character_kernel_size: int = 5
    num_highways: int = 0
    hidden_size: int = 128
    num_aligning_layers: int = 3
    dropout: float = 0.2
    character_dropout: float = 0.05


class BiLSTM(nn.Module):
    """A bidirectional LSTM over rows of unequal length; padding comes out as 0."""

    def __init__(self, width: int, hidden_size: int, dropout: float) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.lstm = nn.LSTM(width, hidden_size, batch_first=True, bidirectional=True)

    def forward(
        self, states: Float[Tensor, "batch length width"], mask: Bool[Tensor, "batch length"]
    ) -> Float[Tensor, "batch length states"]:
        """The states of both directions side by side, in float32."""
        # A row of nothing is read as one of padding, whose state no one sees.
        lengths = mask.sum(1).clamp(min=1).cpu()
        with torch.autocast(states.device.type, enabled=False):
            dropped = self.dropout(states.float())
            packed = pack_padded_sequence(dropped, lengths, batch_first=True, enforce_sorted=False)
            encoded, _ = pad_packed_sequence(self.lstm(packed)[0], True, total_length=states.shape[1])
        return encoded * mask[..., None]


class SemanticFusion(nn.Module):
    """x and what it is fused with, through a gate: o = g tanh(W [x; y; x y; x - y]) + (1 - g) x."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.change_and_gate = nn.Linear(4 * width, 2 * width)

    def forward(
        self, states: Float[Tensor, "*positions width"], other: Float[Tensor, "*positions width"]
    ) -> Float[Tensor, "*positions width"]:
        """`states` after the fusion."""
        features = self.dropout(torch.cat([states, other, states * other, states - other], -1))
        change, gate = self.change_and_gate(features).chunk(2, -1)
        gate = gate.sigmoid()
        fused: Tensor = gate * change.tanh() + (1 - gate) * states
        return fused


class AligningLayer(nn.Module):
    """The passage aligned with the question, then with itself.

    Where there was a layer before, its attentions are looked at again: two words are the more alike, the more
    their past attention overlaps (sec. 3.1 of the first paper), by a learnt factor.
    """

    def __init__(self, config: RMRConfig, *, is_first: bool) -> None:
        super().__init__()
        width = 2 * config.hidden_size
        self.across = nn.Linear(width, width)
        self.within = nn.Linear(width, width)
        self.fuse_question = SemanticFusion(width, config.dropout)
        self.fuse_passage = SemanticFusion(width, config.dropout)
        self.past_weight = None if is_first else nn.Parameter(torch.ones(2))

    def forward(
        self,
        passage: Float[Tensor, "batch passage width"],
        question: Float[Tensor, "batch question width"],
        passage_mask: Bool[Tensor, "batch passage"],
        question_mask: Bool[Tensor, "batch question"],
        past: tuple[Float[Tensor, "batch passage question"], Float[Tensor, "batch passage passage"]] | None,
    ) -> tuple[
        Float[Tensor, "batch passage width"],
        Float[Tensor, "batch passage question"],
        Float[Tensor, "batch passage passage"],
    ]:
        """The passage's states, and the raw scores of both alignments: the paper's E and B, transposed."""
        across = _scores(self.across, passage, question)
        if past is not None and self.past_weight is not None:
            to_passage = masked_softmax(past[0], passage_mask[:, :, None], dim=1)
            own = _self_attention(past[1], passage_mask)
            across = across + self.past_weight[0] * (own @ to_passage)
        aligned = masked_softmax(across, question_mask[:, None]) @ question
        fused = self.fuse_question(passage, aligned)
        within = _scores(self.within, fused, fused)
        if past is not None and self.past_weight is not None:
            within = within + self.past_weight[1] * (own @ own.transpose(1, 2))
        fused = self.fuse_passage(fused, _self_attention(within, passage_mask) @ fused)
        return fused, across, within


def _scores(
    shared: nn.Linear, left: Float[Tensor, "batch left width"], right: Float[Tensor, "batch right width"]
) -> Float[Tensor, "batch left right"]:
    """f(x, y) = relu(W x) . relu(W y), over the root of the width, in float32."""
    scores: Tensor = shared(left).relu() @ shared(right).relu().transpose(1, 2)
    return scores.float() / math.sqrt(left.shape[2])


def _self_attention(
    within: Float[Tensor, "batch passage passage"], mask: Bool[Tensor, "batch passage"]
) -> Float[Tensor, "batch passage passage"]:
    """Of each word a distribution over the others: a word is not aligned with itself."""
    others = mask[:, None] & ~torch.eye(within.shape[1], dtype=torch.bool, device=within.device)
    return masked_softmax(within, others)


class Pointer(nn.Module):
    """A score for each position, given a memory m: v . tanh(W [r; m; r m])."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.hidden = nn.Linear(3 * width, width)
        self.score = nn.Linear(width, 1, bias=False)

    def forward(
        self, states: Float[Tensor, "batch length width"], memory: Float[Tensor, "batch width"]
    ) -> Float[Tensor, "batch length"]:
        """Raw logits in float32."""
        spread = memory[:, None].expand_as(states)
        features = self.dropout(torch.cat([states, spread, states * spread], -1))
        scores: Tensor = self.score(self.hidden(features).tanh()).squeeze(-1).float()
        return scores


class RMRForQuestionAnswering(WordReader, SimilarityReader, TwoStepReader):  # type: ignore[no-untyped-call]
    """RMR with its two-step answer pointer. Its similarity is the last layer's alignment."""

    config_class = RMRConfig
    base_model_prefix = "rmr"
    main_input_name = "input_ids"

    def __init__(self, config: RMRConfig) -> None:
        super().__init__(config)
        hidden, layers = config.hidden_size, config.num_aligning_layers
        self.embedding = WordEmbedding(config)
        # One feature more: whether the word stands in the other text too.
        self.encoder = BiLSTM(self.embedding.width + 1, hidden, config.dropout)
        self.aligning = nn.ModuleList(AligningLayer(config, is_first=not layer) for layer in range(layers))
        self.between = nn.ModuleList(BiLSTM(2 * hidden, hidden, config.dropout) for _ in range(layers - 1))
        self.modeling = BiLSTM(2 * hidden * layers, hidden, config.dropout)
        self.summary = nn.Linear(2 * hidden, 1, bias=False)
        self.start = Pointer(2 * hidden, config.dropout)
        self.move = SemanticFusion(2 * hidden, config.dropout)
        self.end = Pointer(2 * hidden, config.dropout)
        self.post_init()  # type: ignore[no-untyped-call]

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, AligningLayer):
            if module.past_weight is not None:
                init.ones_(module.past_weight)
        else:
            init_recurrent(module)

    def forward(
        self,
        input_ids: Int[Tensor, "batch length"],
        token_type_ids: Int[Tensor, "batch length"],
        attention_mask: Int[Tensor, "batch length"],
        character_ids: Int[Tensor, "batch length characters"] | None = None,
        start_positions: Int[Tensor, " batch"] | None = None,
        end_positions: Int[Tensor, " batch"] | None = None,
        num_starts: int = 0,
    ) -> TwoStepOutput:
        """Logits of p1(start) and p2(end | start) over the input; off the passage they are `OFF_PASSAGE`.

        Args:
            input_ids: Question, separator, passage.
            token_type_ids: 0 for question and separator, 1 for passage.
            attention_mask: 0 for padding.
            character_ids: The spelling of each word, 0 for none; needed where the model has characters.
            start_positions: First token of the answer, at which the end is forced; where it is off the
                passage, and where none are given, the end is that of the best start.
            end_positions: Last token of the answer; with `start_positions` it gives a loss.
            num_starts: How many of its own best starts to give the ends of.
        """
        length = input_ids.shape[1]
        question_at, passage_at = question_and_passage(token_type_ids, attention_mask.bool())
        embedded = self.embedding(input_ids, character_ids)
        matches = self._matched(input_ids, character_ids, question_at, passage_at)
        question, passage = (
            self.encoder(torch.cat([at.take(embedded), matched], -1), at.mask)
            for at, matched in zip((question_at, passage_at), matches, strict=True)
        )
        states, similarity = self._aligned(passage, question, passage_at.mask, question_at.mask)
        weights = masked_softmax(self.summary(question).squeeze(-1).float(), question_at.mask)
        memory = (weights[:, None] @ question).squeeze(1)
        starts = self.start(states, memory).masked_fill(~passage_at.mask, OFF_PASSAGE)
        found = min(max(num_starts, 1), starts.shape[1])
        best = starts.topk(found, dim=1).indices
        forced = best[:, 0]
        if start_positions is not None:
            is_start = passage_at.mask & (passage_at.index == start_positions[:, None])
            forced = torch.where(is_start.any(1), is_start.int().argmax(1), forced)
        end_logits = scattered(self._ends(states, memory, forced), passage_at, length)
        start_logits = scattered(starts, passage_at, length)
        best_starts = best_ends = None
        if num_starts:
            exists = passage_at.mask.gather(1, best)
            best_starts = passage_at.index.gather(1, best).masked_fill(~exists, -1)
            # One start at a time, so that its row owes nothing to how many are asked for.
            rows = [scattered(self._ends(states, memory, of_one), passage_at, length) for of_one in best.T]
            best_ends = torch.stack(rows, 1)
        loss = None
        if start_positions is not None and end_positions is not None:
            loss = span_loss(start_logits, end_logits, start_positions, end_positions)
        return TwoStepOutput(
            loss=loss,
            start_logits=start_logits,
            end_logits=end_logits,
            similarity=similarity,  # type: ignore[arg-type]
            best_starts=best_starts,  # type: ignore[arg-type]
            best_end_logits=best_ends,  # type: ignore[arg-type]
        )

    def _aligned(
        self,
        passage: Float[Tensor, "batch passage width"],
        question: Float[Tensor, "batch question width"],
        passage_mask: Bool[Tensor, "batch passage"],
        question_mask: Bool[Tensor, "batch question"],
    ) -> tuple[Float[Tensor, "batch passage width"], Float[Tensor, "batch passage question"]]:
        """The passage's states after all layers, and the last alignment with the question."""
        aligned: list[Tensor] = []
        past = None
        for number, layer in enumerate(self.aligning):
            if number:
                passage = self.between[number - 1](aligned[-1], passage_mask)
            fused, across, within = layer(passage, question, passage_mask, question_mask, past)
            aligned.append(fused)
            past = across, within
        states = self.modeling(torch.cat(aligned, -1), passage_mask)
        return states, across

    def _ends(
        self,
        states: Float[Tensor, "batch passage width"],
        memory: Float[Tensor, "batch width"],
        starts: Int[Tensor, " batch"],
    ) -> Float[Tensor, "batch passage"]:
        """The end logits given one start a row: the memory moves on with the start's state."""
        rows = torch.arange(len(starts), device=starts.device)
        return self.end(states, self.move(memory, states[rows, starts]))  # type: ignore[no-any-return]

    def _matched(
        self,
        ids: Int[Tensor, "batch length"],
        character_ids: Int[Tensor, "batch length characters"] | None,
        question_at: Positions,
        passage_at: Positions,
    ) -> tuple[Float[Tensor, "batch question 1"], Float[Tensor, "batch passage 1"]]:
        """1 for a word that stands in the other text too; unknown words are told apart by their spelling."""
        words = ids.long()
        if self.config.unk_token_id is not None:
            kinds = self.embedding.kinds(ids, character_ids)[1]
            words = torch.where(words == self.config.unk_token_id, self.config.vocab_size + kinds, words)
        asked, given = (words.gather(1, at.index) for at in (question_at, passage_at))
        equal = given[:, :, None] == asked[:, None]
        equal &= passage_at.mask[:, :, None] & question_at.mask[:, None]
        return equal.any(1)[:, :, None].float(), equal.any(2)[:, :, None].float()


def build(
    tokenizer: Path,
    *,
    max_length: int = 512,
    word_size: int | None = None,
    trainable_words: bool = False,
    character_size: int = 50,
    character_filters: int = 100,
    character_kernel_size: int = 5,
    num_highways: int = 0,
    hidden_size: int = 128,
    num_aligning_layers: int = 3,
    dropout: float = 0.2,
    character_dropout: float = 0.05,
    seed: int = 0,
) -> RMRForQuestionAnswering:
    """A new RMR for the tokens of `tokenizer`.

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
        hidden_size: Units of every LSTM, each way.
        num_aligning_layers: Rounds of aligning (the paper's 3; 2 for NarrativeQA).
        dropout: Before every LSTM, fusion and pointer, and in the embedding.
        character_dropout: Of characters' vectors.
        seed: Of the random weights.

    Raises:
        ModelError: The sizes do not fit one another or the vectors, fixed words have no vectors, or the
            tokenizer does not tell question and passage apart.
    """
    check_pairs(tokenizer, "rmr")
    vocabulary = Vocabulary.read(tokenizer)
    vectors = given_vectors(tokenizer, vocabulary, word_size, trainable_words=trainable_words)
    config = RMRConfig(
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
        hidden_size=hidden_size,
        num_aligning_layers=num_aligning_layers,
        dropout=dropout,
        character_dropout=character_dropout,
    )
    _check(config)
    return RMRForQuestionAnswering.fresh(config, vectors, seed)


def _check(config: RMRConfig) -> None:
    sizes = ("word_size", "character_size", "character_filters", "character_kernel_size", "hidden_size")
    problems = [
        f"{name} {getattr(config, name)}"
        for name in (*sizes, "num_aligning_layers")
        if getattr(config, name) < 1
    ]
    if config.character_kernel_size > WORD_CHARACTERS:
        problems.append(f"character_kernel_size {config.character_kernel_size}, beyond {WORD_CHARACTERS}")
    rates = ("dropout", config.dropout), ("character_dropout", config.character_dropout)
    problems += [f"{name} {rate}" for name, rate in rates if not 0 <= rate < 1]
    if problems:
        raise ModelError(
            "model of architecture 'rmr'",
            expected="sizes from 1, and rates from 0 to 1",
            got="; ".join(problems),
            remedy="change these options",
        )
