"""Word vectors for the vocabulary of a tokenizer: read from a file, or trained on text."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xxhash
from gensim.models import Word2Vec
from safetensors.numpy import save_file

from pipeline.errors import DataError
from pipeline.text.build import PADDING
from pipeline.text.tokenizers import Encoder

VECTORS_FILE = "vectors.safetensors"

# Words without a vector differ from each other, but lie near the origin.
_MISSING_SCALE = 0.1

_Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class VectorFile:
    """Vectors in a text file as fastText and GloVe write them: a word and its numbers a line.

    Args:
        path: The file, with or without a first line of counts.
        dimensions: What the vectors must have; None takes what the file has.
    """

    path: Path
    dimensions: int | None = None


@dataclass(frozen=True, slots=True)
class VectorTraining:
    """Vectors trained by skip-gram on the tokenizer's own text."""

    dimensions: int
    epochs: int = 5
    window: int = 5
    seed: int = 0


@dataclass(frozen=True, slots=True)
class WordVectors:
    """Vectors of some words of a vocabulary, and how many lines of their file could not be read."""

    vectors: Mapping[str, _Floats]
    dimensions: int
    malformed_lines: int = 0


def read_vectors(source: VectorFile, vocabulary: Iterable[str]) -> WordVectors:
    """The vectors that a file has for the words of `vocabulary`.

    A word takes the vector of its own line, else of the first line that is the word in lower case. Lines with
    too few fields, and lines of wanted words whose numbers cannot be read, are counted as malformed.

    Raises:
        DataError: There is no such file, its vectors have another dimension, or none fits.
    """
    wanted = set(vocabulary)
    exact: dict[str, _Floats] = {}
    lowered: dict[str, _Floats] = {}
    malformed = 0
    lines = _lines(source.path)
    dimensions, lines = _dimensions(lines, source)
    for line in lines:
        fields = line.rsplit(b" ", dimensions) if line.count(b" ") >= dimensions else []
        if not fields:
            malformed += 1
            continue
        word = fields[0].decode("utf-8", "replace")
        target, key = (exact, word) if word in wanted else (lowered, word.lower())
        if key in wanted and key not in target:
            vector = _numbers(fields[1:])
            if vector is None:
                malformed += 1
            else:
                target[key] = vector
    vectors = {**lowered, **exact}
    if not vectors:
        raise DataError(
            source.path,
            expected="vectors of words of the vocabulary",
            got=f"none ({malformed} malformed lines)",
            remedy="check that the file is a text file of vectors in the data set's language",
        )
    return WordVectors(vectors, dimensions, malformed)


def train_vectors(texts: Sequence[Sequence[str]], training: VectorTraining) -> WordVectors:
    """Vectors of all tokens that stand in `texts`: the same for the same tokens and seed."""
    model = Word2Vec(
        texts,
        vector_size=training.dimensions,
        window=training.window,
        epochs=training.epochs,
        seed=training.seed,
        min_count=1,
        sg=1,
        workers=1,
        hashfxn=_stable_hash,
    )
    vectors = {word: np.asarray(model.wv[word], np.float32) for word in model.wv.index_to_key}
    return WordVectors(vectors, training.dimensions)


def embedding_matrix(vocabulary: Mapping[str, int], words: WordVectors, *, seed: int = 0) -> _Floats:
    """One vector a token: zeros for padding, small random numbers where there is none."""
    generator = np.random.default_rng(seed)
    shape = (max(vocabulary.values()) + 1, words.dimensions)
    matrix = generator.normal(scale=_MISSING_SCALE, size=shape).astype(np.float32)
    for word, number in vocabulary.items():
        if word in words.vectors:
            matrix[number] = words.vectors[word]
    if PADDING in vocabulary:
        matrix[vocabulary[PADDING]] = 0
    return matrix


def save_vectors(matrix: _Floats, folder: Path) -> None:
    """Write the vectors beside a tokenizer."""
    save_file({"embeddings": matrix}, folder / VECTORS_FILE)


def vectors_for(encoder: Encoder, source: VectorFile | VectorTraining, texts: Sequence[str]) -> WordVectors:
    """Vectors for an encoder's vocabulary, from wherever `source` says."""
    if isinstance(source, VectorFile):
        return read_vectors(source, encoder.vocabulary)
    return train_vectors(encoder.tokenize(texts), source)


def _stable_hash(text: str) -> int:
    # Python's own differs from process to process.
    return xxhash.xxh32_intdigest(text.encode())


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            for line in file:
                stripped = line.strip(b" \r\n")
                if stripped:
                    yield stripped
    except OSError as error:
        raise DataError(
            path, expected="a text file of word vectors", got=str(error.strerror), remedy="check the path"
        ) from error


def _dimensions(lines: Iterator[bytes], source: VectorFile) -> tuple[int, Iterator[bytes]]:
    """How many numbers a line has, by the first one, and the lines that hold vectors."""
    first = next(lines, b"")
    fields = first.split(b" ")
    is_header = len(fields) == 2 and all(field.isdigit() for field in fields)
    found = int(fields[1]) if is_header else len(fields) - 1
    if found < 1 or source.dimensions not in (None, found):
        raise DataError(
            source.path,
            expected=f"vectors of {source.dimensions} dimensions" if source.dimensions else "word vectors",
            got=f"{found} dimensions in the first line" if first else "an empty file",
            remedy="name another file, or set the dimensions that this one has",
        )
    return found, lines if is_header else chain([first], lines)


def _numbers(fields: Sequence[bytes]) -> _Floats | None:
    try:
        vector = np.array([float(field) for field in fields], dtype=np.float32)
    except ValueError:
        return None
    return vector if np.isfinite(vector).all() else None
