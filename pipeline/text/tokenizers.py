"""Fast tokenizers as all models read with them.

Every model of the project, teacher or student, reads through `Encoder`: a question and a text become token
ids with the characters that each token covers, and limits mean the same everywhere. Only the `tokenizers`
library is needed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Tokenizer

from pipeline import fingerprint
from pipeline.errors import ModelError, ParamsError
from pipeline.text.characters import WORD_CHARACTERS, Alphabet
from pipeline.text.mask import MASK, mask_id

TOKENIZER_FILE = "tokenizer.json"

# The library's encodings hold some 100 bytes a token: never keep a whole data set's at once.
_CHUNK = 512

_Ids = npt.NDArray[np.int32]
_Types = npt.NDArray[np.uint8]
_Characters = npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Encoded:
    """A question and a text as a model reads them.

    `question` and `passage` are half-open ranges of tokens; each token of a range covers at least one
    character, given by the offsets into the question and the text as they were handed over.
    `lost_passage_tokens` and `lost_question_tokens` count the tokens that limits cut off the ends of both.
    """

    input_ids: _Ids
    token_type_ids: _Types
    question: tuple[int, int]
    passage: tuple[int, int]
    question_offsets: _Ids
    passage_offsets: _Ids
    character_ids: _Characters | None
    lost_passage_tokens: int
    lost_question_tokens: int = 0


@dataclass(frozen=True, slots=True)
class _Pieces:
    """The tokens of one string."""

    ids: _Ids
    offsets: _Ids

    def __len__(self) -> int:
        return len(self.ids)

    def head(self, count: int) -> "_Pieces":
        return _Pieces(self.ids[:count], self.offsets[:count])


@dataclass(frozen=True, slots=True)
class _Layout:
    """The special tokens around a pair, or around one text, its second part; and token types of the parts."""

    before: _Pieces
    between: _Pieces
    after: _Pieces
    types: tuple[_Types, int, _Types, int, _Types]

    @property
    def num_special(self) -> int:
        return len(self.before) + len(self.between) + len(self.after)


@dataclass(frozen=True)
class Encoder:
    """A tokenizer folder, ready to encode.

    Texts are never read as markup: "[SEP]" in a text is four characters' worth of words, not a special token.
    But "[MASK]" is one hidden word, which is the tokenizer's mask token or else its unknown one.
    """

    folder: Path
    fingerprint: str
    alphabet: Alphabet | None = field(repr=False)
    _tokenizer: Tokenizer = field(repr=False)
    _layout: _Layout = field(repr=False)
    _single: _Layout = field(repr=False)
    _mask: tuple[int, ...] = field(repr=False)

    @classmethod
    def open(cls, folder: Path) -> "Encoder":
        """The encoder of a tokenizer or model folder; truncation and padding in its file are ignored.

        Raises:
            ModelError: There is no fast tokenizer, or it does not put a question before a text.
        """
        identity = fingerprint.tokenizer(folder)
        tokenizer = read_tokenizer(folder)
        pair, single = _layout(tokenizer, folder), _single_layout(tokenizer)
        mask = mask_id(tokenizer)
        hidden = () if mask is None else (mask,)
        return cls(folder, identity, Alphabet.open(folder), tokenizer, pair, single, hidden)

    @property
    def num_special(self) -> int:
        """How many special tokens stand around a question and a text."""
        return self._layout.num_special

    @property
    def has_first(self) -> bool:
        """Whether a special token comes first, at which a reader says that there is no answer."""
        return len(self._layout.before) > 0

    def num_special_with(self, question: str) -> int:
        """How many stand around `question` and a text; fewer where there is no question."""
        return self._laid_out(question).num_special

    def __len__(self) -> int:
        """The size of the vocabulary, special tokens included."""
        return self._tokenizer.get_vocab_size(with_added_tokens=True)

    @property
    def unknown_id(self) -> int | None:
        """The id of every word that is not in the vocabulary; None where there is none."""
        token = getattr(self._tokenizer.model, "unk_token", None)
        return None if token is None else self._tokenizer.token_to_id(token)

    @property
    def vocabulary(self) -> dict[str, int]:
        """From a token to its id, special tokens included."""
        return self._tokenizer.get_vocab(with_added_tokens=True)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has, uncut and without special ones; `encode` never gives more."""
        return [sum(map(len, parts)) + len(parts) - 1 for parts in self._encodings(texts)]

    def count_each(self, texts: Sequence[str]) -> npt.NDArray[np.int64]:
        """How often each token of the vocabulary stands in `texts`, by its id."""
        ids = np.fromiter(chain.from_iterable(self._ids(texts)), np.int32)
        return np.bincount(ids, minlength=len(self))

    def tokenize(self, texts: Sequence[str]) -> list[list[str]]:
        """The tokens of each text, as they stand in the vocabulary."""
        names = {number: token for token, number in self.vocabulary.items()}
        return [[names[number] for number in ids] for ids in self._ids(texts)]

    def _ids(self, texts: Sequence[str]) -> Iterator[list[int]]:
        for first, *others in self._encodings(texts):
            yield [*first.ids, *chain.from_iterable((*self._mask, *other.ids) for other in others)]

    def _encodings(self, texts: Sequence[str]) -> Iterator[list[Encoding]]:
        """Of each text the parts between its hidden words: one where it has none."""
        for chunk in _chunks(texts):
            split = list(map(self._split, chunk))
            parts = list(chain.from_iterable(split))
            encodings = iter(self._tokenizer.encode_batch_fast(parts, add_special_tokens=False))
            yield from (list(islice(encodings, len(parts))) for parts in split)

    def _split(self, text: str) -> list[str]:
        return text.split(MASK) if self._mask else [text]

    def encode(
        self, questions: Sequence[str], texts: Sequence[str], *, max_length: int, max_question_tokens: int
    ) -> list[Encoded]:
        """Encode pairs: a question is cut to `max_question_tokens`, then a text to what `max_length` leaves.

        A text whose question is empty is encoded alone, with the special tokens of one text.

        Raises:
            ParamsError: A question of the full length would leave no room for a text.
        """
        if max_length <= max_question_tokens + self.num_special:
            raise ParamsError(
                "max_length",
                expected=f"more than max_question_tokens ({max_question_tokens}) "
                f"and {self.num_special} special tokens",
                got=str(max_length),
                remedy="raise max_length or lower max_question_tokens",
            )
        question_pieces = self._pieces(questions)
        text_pieces = self._pieces(texts)
        encoded = []
        for question, text in zip(questions, texts, strict=True):
            asked = question_pieces[question].head(max_question_tokens)
            whole = text_pieces[text]
            kept = whole.head(max_length - self.num_special_with(question) - len(asked))
            lost = (len(question_pieces[question]) - len(asked), len(whole) - len(kept))
            encoded.append(self._join(question, text, asked, kept, lost))
        return encoded

    def _pieces(self, texts: Sequence[str]) -> dict[str, _Pieces]:
        # Questions and contexts repeat: each is read once.
        split = {text: self._split(text) for text in texts}
        read = {
            part: _read(encoding)
            for chunk in _chunks(list(dict.fromkeys(chain.from_iterable(split.values()))))
            for part, encoding in zip(
                chunk, self._tokenizer.encode_batch(chunk, add_special_tokens=False), strict=True
            )
        }
        return {text: self._whole(parts, read) for text, parts in split.items()}

    def _whole(self, parts: Sequence[str], read: Mapping[str, _Pieces]) -> _Pieces:
        """The pieces of a text whose parts between hidden words have been read."""
        first, *others = parts
        ids, offsets, end = [read[first].ids], [read[first].offsets], len(first)
        for part in others:
            start, end = end, end + len(MASK)
            ids += [np.array(self._mask, np.int32), read[part].ids]
            offsets += [np.array([[start, end]], np.int32), read[part].offsets + np.int32(end)]
            end += len(part)
        return _Pieces(np.concatenate(ids), np.concatenate(offsets)) if others else read[first]

    def _join(
        self, question: str, text: str, asked: _Pieces, kept: _Pieces, lost: tuple[int, int]
    ) -> Encoded:
        layout = self._laid_out(question)
        question_start = len(layout.before)
        passage_start = question_start + len(asked) + len(layout.between)
        before, question_type, between, passage_type, after = layout.types
        types = (
            before,
            np.full(len(asked), question_type, np.uint8),
            between,
            np.full(len(kept), passage_type, np.uint8),
            after,
        )
        parts = (layout.before, asked, layout.between, kept, layout.after)
        return Encoded(
            input_ids=np.concatenate([part.ids for part in parts]),
            token_type_ids=np.concatenate(types),
            question=(question_start, question_start + len(asked)),
            passage=(passage_start, passage_start + len(kept)),
            question_offsets=asked.offsets,
            passage_offsets=kept.offsets,
            character_ids=self._characters(question, text, asked, kept),
            lost_question_tokens=lost[0],
            lost_passage_tokens=lost[1],
        )

    def _laid_out(self, question: str) -> _Layout:
        return self._layout if question else self._single

    def _characters(self, question: str, text: str, asked: _Pieces, kept: _Pieces) -> _Characters | None:
        if self.alphabet is None:
            return None
        layout = self._laid_out(question)
        return np.concatenate(
            [
                np.zeros((len(layout.before), WORD_CHARACTERS), np.uint16),
                self.alphabet.ids(question, asked.offsets),
                np.zeros((len(layout.between), WORD_CHARACTERS), np.uint16),
                self.alphabet.ids(text, kept.offsets),
                np.zeros((len(layout.after), WORD_CHARACTERS), np.uint16),
            ]
        )


def read_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer in `folder`, with no limit and no padding, reading texts as plain text.

    Raises:
        ModelError: The file cannot be read.
    """
    path = folder / TOKENIZER_FILE
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain Exception
        raise ModelError(
            path,
            expected="a fast tokenizer (tokenizer.json)",
            got=str(error),
            remedy="save the tokenizer again with save_pretrained, or check the path",
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer


def _chunks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(texts), _CHUNK):
        yield texts[start : start + _CHUNK]


def _read(encoding: Encoding) -> _Pieces:
    ids = np.array(encoding.ids, dtype=np.int32)
    offsets = np.array(encoding.offsets, dtype=np.int32).reshape(-1, 2)
    covers = offsets[:, 0] < offsets[:, 1]
    return _Pieces(ids, offsets) if covers.all() else _Pieces(ids[covers], offsets[covers])


def _layout(tokenizer: Tokenizer, folder: Path) -> _Layout:
    """Read off a probe where the special tokens stand."""
    probe = tokenizer.encode("a", "a")
    ids = np.array(probe.ids, dtype=np.int32)
    types = np.array(probe.type_ids, dtype=np.uint8)
    sides = probe.sequence_ids
    if 0 not in sides or 1 not in sides or sides.index(1) < sides.index(0):
        raise ModelError(
            folder / TOKENIZER_FILE,
            expected="a tokenizer that puts a question before a text",
            got=f"the layout {probe.tokens} of the pair ('a', 'a')",
            remedy="use another tokenizer",
        )
    question, passage = sides.index(0), sides.index(1)
    question_end, passage_end = question + sides.count(0), passage + sides.count(1)
    cuts = [slice(0, question), slice(question_end, passage), slice(passage_end, None)]
    before, between, after = (_Pieces(ids[cut], np.zeros((len(ids[cut]), 2), np.int32)) for cut in cuts)
    return _Layout(
        before,
        between,
        after,
        (types[cuts[0]], int(types[question]), types[cuts[1]], int(types[passage]), types[cuts[2]]),
    )


def _single_layout(tokenizer: Tokenizer) -> _Layout:
    probe = tokenizer.encode("a")
    ids = np.array(probe.ids, dtype=np.int32)
    types = np.array(probe.type_ids, dtype=np.uint8)
    start = probe.sequence_ids.index(0)
    end = start + probe.sequence_ids.count(0)
    before, after = (_Pieces(ids[cut], np.zeros((len(ids[cut]), 2), np.int32)) for cut in np.s_[:start, end:])
    nothing = _Pieces(ids[:0], np.zeros((0, 2), np.int32))
    return _Layout(before, nothing, after, (types[:start], 0, types[:0], int(types[start]), types[end:]))
