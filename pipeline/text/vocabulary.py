"""A student's vocabulary: a tokenizer folder, built or copied, with word vectors if asked."""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import ParamsError
from pipeline.files import new_folder
from pipeline.registry import did_you_mean
from pipeline.text.build import BUILT_KINDS, build_tokenizer, write_config
from pipeline.text.characters import CHARACTERS_FILE
from pipeline.text.tokenizers import TOKENIZER_FILE, Encoder
from pipeline.text.vectors import (
    VectorFile,
    VectorTraining,
    WordVectors,
    embedding_matrix,
    save_vectors,
    vectors_for,
)

KINDS = (*BUILT_KINDS, "pretrained")

# What belongs to a tokenizer in a model folder.
_TOKENIZER_FILES = (
    TOKENIZER_FILE,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    CHARACTERS_FILE,
)


def vocabulary(
    out: Path,
    *,
    kind: str,
    texts: Iterable[str] = (),
    source: Path | None = None,
    min_frequency: int = 1,
    max_words: int | None = None,
    lowercase: bool = True,
    cls_token: bool = False,
    vectors: VectorFile | VectorTraining | None = None,
) -> dict[str, Any]:
    """Write a tokenizer folder to `out`, replacing what is there.

    Args:
        out: The folder.
        kind: "words" or "characters", built from `texts`; "pretrained", copied from `source`.
        texts: The text of data sets; equal texts count once.
        source: A folder with a fast tokenizer, for "pretrained" alone.
        min_frequency: Rarer words are unknown.
        max_words: How many words are kept at most.
        lowercase: Words are looked up in lower case.
        cls_token: As of `build_tokenizer`.
        vectors: Where word vectors come from.

    Returns:
        Counts to print: tokens, characters, share of the running text that is unknown, coverage of vectors.

    Raises:
        ParamsError: The kind is unknown, or has no source.
        DataError: The texts are empty, or the vectors do not fit.
        ModelError: The source has no fast tokenizer.
    """
    if kind not in KINDS:
        raise ParamsError(
            "kind", expected="a kind of tokenizer", got=repr(kind), remedy=did_you_mean(kind, KINDS)
        )
    if (kind == "pretrained") != (source is not None):
        raise ParamsError(
            "source",
            expected="a tokenizer folder for kind 'pretrained', and for no other",
            got=f"{source} for kind {kind!r}",
            remedy="name a folder, or choose another kind",
        )
    different = list(dict.fromkeys(texts))
    with new_folder(out) as folder:
        if source is not None:
            _copy(source, folder)
        else:
            build_tokenizer(
                different,
                folder,
                kind=kind,
                min_frequency=min_frequency,
                max_words=max_words,
                lowercase=lowercase,
                cls_token=cls_token,
            )
        encoder = Encoder.open(folder)
        words = None if vectors is None else vectors_for(encoder, vectors, different)
        if words is not None:
            save_vectors(embedding_matrix(encoder.vocabulary, words), folder)
        return _summary(kind, encoder, words, different)


def _copy(source: Path, folder: Path) -> None:
    Encoder.open(source)  # refuses a tokenizer that gives no offsets
    for name in _TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
    write_config(folder)


def _summary(kind: str, encoder: Encoder, words: WordVectors | None, texts: Sequence[str]) -> dict[str, Any]:
    running = encoder.count_each(texts)
    total = max(int(running.sum()), 1)
    summary: dict[str, Any] = {
        "kind": kind,
        "tokens": len(encoder),
        "characters": None if encoder.alphabet is None else len(encoder.alphabet.characters),
        "texts": len(texts),
        "unknown_share": round(float(running[encoder.unknown_id]) / total, 6)
        if encoder.unknown_id is not None
        else 0.0,
        "vectors": None,
    }
    if words is not None:
        has_vector = np.zeros(len(running), np.bool_)
        has_vector[[number for word, number in encoder.vocabulary.items() if word in words.vectors]] = True
        summary["vectors"] = {
            "dimensions": words.dimensions,
            "found": int(has_vector.sum()),
            "share_of_tokens": round(float(has_vector.mean()), 6),
            "share_of_text": round(float(running[has_vector].sum()) / total, 6),
            "malformed_lines": words.malformed_lines,
        }
    return summary
