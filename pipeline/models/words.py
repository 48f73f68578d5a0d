"""Words as vectors, with their spelling: what recurrent and convolutional readers begin with."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init

from pipeline.errors import ModelError
from pipeline.models.dropout import Dropout
from pipeline.models.vocabulary import Vocabulary

Reader = TypeVar("Reader", bound="WordReader")


@runtime_checkable
class WordSizes(Protocol):
    """What a configuration says of words; the architectures' `build` say what each size is."""

    vocab_size: int
    unk_token_id: int | None
    word_size: int
    trainable_words: bool
    num_characters: int
    character_size: int
    character_filters: int
    character_kernel_size: int
    num_highways: int
    dropout: float
    character_dropout: float


class CharacterEmbedding(nn.Module):
    """A word's characters, embedded, convolved, and the maximum taken of each filter.

    A convolution over embeddings is a sum of rows of a small table, with a row for each character at each
    place of the kernel: the table is made once a batch, so the dropout mask is the table's.
    """

    def __init__(self, config: WordSizes) -> None:
        super().__init__()
        self.dropout = Dropout(config.character_dropout)
        self.characters = nn.Embedding(config.num_characters, config.character_size, padding_idx=0)
        self.kernel = nn.ModuleList(
            nn.Linear(config.character_size, config.character_filters, bias=False)
            for _ in range(config.character_kernel_size)
        )
        self.bias = nn.Parameter(torch.zeros(config.character_filters))

    def forward(self, ids: Int[Tensor, "words characters"]) -> Float[Tensor, "words filters"]:
        """The vectors of the words spelt by `ids`."""
        characters = self.dropout(self.characters.weight)
        rows = torch.cat([place(characters) for place in self.kernel]).float()
        shift = torch.arange(len(self.kernel), device=ids.device) * len(characters)
        windows = ids.long().unfold(1, len(self.kernel), 1) + shift  # (words, windows, kernel)
        sums = F.embedding_bag(windows.flatten(0, 1), rows, mode="sum")
        return (sums.view(*windows.shape[:2], -1).amax(1) + self.bias).relu()


class Highway(nn.Module):
    """One layer of a highway network (Srivastava et al. 2015, arXiv:1505.00387)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.transform = nn.Linear(width, width)
        self.gate = nn.Linear(width, width)

    def forward(self, states: Float[Tensor, "*positions width"]) -> Float[Tensor, "*positions width"]:
        """Carry some of `states`, transform the rest."""
        gate = self.gate(states).sigmoid()
        carried: Tensor = states + gate * (self.transform(states).relu() - states)
        return carried


class WordEmbedding(nn.Module):
    """Words and their characters, through highway layers, mapped to the model's width where it has one.

    Its output is `width` wide.

    All of this depends on the word alone, so it is done once for each different word of a batch; dropout
    masks are then a word's, the same wherever it stands (Gal and Ghahramani 2016, arXiv:1512.05287).
    Word vectors stay as they were given, but for the one of unknown words, which is learnt.
    """

    def __init__(self, config: WordSizes, width: int | None = None) -> None:
        super().__init__()
        self.unknown_id = config.unk_token_id
        self.words = nn.Embedding(config.vocab_size, config.word_size)
        self.words.weight.requires_grad_(config.trainable_words)
        has_unknown = self.unknown_id is not None and not config.trainable_words
        self.unknown = nn.Parameter(torch.zeros(config.word_size)) if has_unknown else None
        self.characters = CharacterEmbedding(config) if config.num_characters else None
        self.character_bits = config.num_characters.bit_length()
        own = config.word_size + (config.character_filters if config.num_characters else 0)
        self.width = width or own
        self.highways = nn.ModuleList(Highway(own) for _ in range(config.num_highways))
        self.projection = nn.Linear(own, width, bias=False) if width else nn.Identity()
        self.dropout = Dropout(config.dropout)

    def forward(
        self, ids: Int[Tensor, "batch length"], character_ids: Int[Tensor, "batch length characters"] | None
    ) -> Float[Tensor, "batch length width"]:
        """The vectors of words and, where the model has them, of their characters."""
        chosen, kinds = self.kinds(ids, character_ids)
        spelt = character_ids.flatten(0, 1)[chosen].long() if character_ids is not None else None
        vectors = self._embedded(ids.flatten()[chosen], spelt)
        # Not vectors[kinds]: the gradient of that is summed in any order by several threads.
        return F.embedding(kinds, vectors)

    def kinds(
        self, ids: Int[Tensor, "batch length"], character_ids: Int[Tensor, "batch length characters"] | None
    ) -> tuple[Int[Tensor, " different"], Int[Tensor, "batch length"]]:
        """Where one word of each kind stands in the flat batch, and the kind of each word."""
        keys = [ids.flatten().long()]
        if self.characters is not None:
            if character_ids is None:
                raise ValueError("the reader spells words: it needs character_ids, which its tokenizer gives")
            keys += _packed(character_ids.flatten(0, 1).long(), self.character_bits)
        chosen, kinds = _distinct(keys)
        return chosen, kinds.view_as(ids)

    def _embedded(
        self, ids: Int[Tensor, " words"], character_ids: Int[Tensor, "words characters"] | None
    ) -> Float[Tensor, "words width"]:
        vectors = self.words(ids)
        if self.unknown is not None and self.unknown_id is not None:
            vectors = torch.where(ids.eq(self.unknown_id).unsqueeze(-1), self.unknown, vectors)
        vectors = self.dropout(vectors)
        if self.characters is not None and character_ids is not None:
            vectors = torch.cat([vectors, self.characters(character_ids).to(vectors.dtype)], -1)
        for highway in self.highways:
            vectors = self.dropout(highway(vectors))
        states: Tensor = self.projection(vectors)
        return states


class WordReader(PreTrainedModel):  # type: ignore[no-untyped-call]
    """A model that begins with a table of words: that of its `embedding`, where it says no other."""

    embedding: WordEmbedding

    @classmethod
    def fresh(
        cls: type[Reader],
        config: PreTrainedConfig,
        vectors: Float[Tensor, "vocabulary size"] | None,
        seed: int,
    ) -> Reader:
        """One with random weights that depend on `seed` alone, and the word vectors that are given."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = cls(config)
        if vectors is not None:
            with torch.no_grad():
                model.get_input_embeddings().weight.copy_(vectors)
        return model

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """A saved model. Loading makes every weight trainable; word vectors go back to what they were."""
        loaded = super().from_pretrained(*args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        model.get_input_embeddings().weight.requires_grad_(model.config.trainable_words)
        return loaded

    def get_input_embeddings(self) -> nn.Embedding:
        """The table of word vectors."""
        return self.embedding.words


def _packed(ids: Int[Tensor, "rows columns"], bits: int) -> list[Int[Tensor, " rows"]]:
    """Columns of numbers below 2 ** `bits`, as few columns of 63 bits: equal where all are equal."""
    parts = torch.split(ids, 63 // bits, dim=1)
    return [(part << torch.arange(part.shape[1], device=ids.device) * bits).sum(1) for part in parts]


def _distinct(
    keys: Sequence[Int[Tensor, " rows"]],
) -> tuple[Int[Tensor, " different"], Int[Tensor, " rows"]]:
    """One row of each kind, rows being alike where all `keys` are; and the kind of each row.

    `torch.unique` over rows of a matrix takes a hundred times longer on a CPU than over numbers.
    """
    kinds = torch.zeros_like(keys[0])
    different = kinds
    for key in keys:
        ranks = torch.unique(key, return_inverse=True)[1]
        different, kinds = torch.unique(kinds * len(key) + ranks, return_inverse=True)
    chosen = torch.empty_like(different)
    chosen[kinds] = torch.arange(len(kinds), device=kinds.device)
    return chosen, kinds


def given_vectors(
    tokenizer: Path, vocabulary: Vocabulary, word_size: int | None, *, trainable_words: bool
) -> Float[Tensor, "vocabulary size"] | None:
    """The word vectors in a tokenizer's folder; None where there are none and they are to be learnt.

    Raises:
        ModelError: There are none to keep as they are, or they are of another size.
    """
    file = tokenizer / "vectors.safetensors"
    if not file.is_file():
        if trainable_words:
            return None
        raise ModelError(
            file,
            expected="word vectors, since they are not to be trained",
            got="no such file",
            remedy="give the tokenizer vectors, or set the model's trainable_words to true",
        )
    vectors = load_file(file)["embeddings"]
    if vectors.shape != (vocabulary.size, word_size or vectors.shape[1]):
        raise ModelError(
            file,
            expected=f"{vocabulary.size} vectors of {word_size or 'any'} numbers",
            got=f"{vectors.shape[0]} of {vectors.shape[1]}",
            remedy="run the vocabulary stage again, or leave word_size out",
        )
    return vectors


def init_recurrent(module: nn.Module) -> None:
    """Give a linear map, an LSTM, a GRU or a part of the embedding its first weights; leave others alone."""
    if isinstance(module, nn.Linear):
        init.xavier_uniform_(module.weight)
        if module.bias is not None:
            init.zeros_(module.bias)
    elif isinstance(module, nn.LSTM | nn.GRU):
        for name, weight in module.named_parameters():
            if weight.ndim == 1:
                init.zeros_(weight)
            elif name.startswith("weight_hh"):
                init.orthogonal_(weight)
            else:
                init.xavier_uniform_(weight)
    else:
        init_words(module)


def init_words(module: nn.Module) -> None:
    """Give a part of the embedding its first weights; other modules are left alone."""
    if isinstance(module, nn.Embedding):
        init.normal_(module.weight, std=0.1)
    elif isinstance(module, CharacterEmbedding):
        init.zeros_(module.bias)
    elif isinstance(module, WordEmbedding) and module.unknown is not None:
        init.normal_(module.unknown, std=0.1)
