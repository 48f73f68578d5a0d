"""Passages as a reader's columns: tokens, offsets, gold spans, identities."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline import fingerprint
from pipeline.cache.ragged import Ragged
from pipeline.progress import track
from pipeline.schema import Passage
from pipeline.tasks.gold import first_pieces, gold_of, is_known
from pipeline.text.tokenizers import Encoded, Encoder

_CHUNK = 2048


@dataclass(frozen=True)
class ReaderRows:
    """The columns of some passages, one row each, and how many were cut.

    `hashes` and `occurrences` together are the identity of each row.
    """

    columns: Mapping[str, Ragged]
    hashes: Sequence[bytes]
    occurrences: Sequence[int]
    cut_rows: int

    @property
    def gold_rows(self) -> int:
        """How many rows have a gold label."""
        gold = self.columns["gold"]
        rows = np.repeat(np.arange(len(gold)), gold.lengths)
        return len(np.unique(rows[is_known(gold.values)]))


def reader_rows(
    passages: Sequence[Passage],
    encoder: Encoder,
    *,
    max_length: int,
    max_question_tokens: int,
    label: str,
    labels: str = "answers",
    classes: Sequence[str] = (),
    occurrences: Sequence[int] | None = None,
) -> ReaderRows:
    """Encode `passages` for one tokenizer, with the gold labels of a task as of `gold_of`.

    `occurrences` are those of rows that stand among others; else they are counted.
    """
    parts: list[dict[str, Ragged]] = []
    cut_rows = 0
    with track(len(passages), label) as advance:
        for start in range(0, max(len(passages), 1), _CHUNK):
            chunk = passages[start : start + _CHUNK]
            encoded = encoder.encode(
                [passage.question for passage in chunk],
                [passage.text for passage in chunk],
                max_length=max_length,
                max_question_tokens=max_question_tokens,
            )
            golds = _golds(chunk, encoded, labels, classes)
            parts.append(_columns(encoded, golds, with_characters=encoder.alphabet is not None))
            cut_rows += sum(row.lost_passage_tokens > 0 for row in encoded)
            advance(len(chunk))
    hashes = [fingerprint.input_hash(passage.question, passage.text) for passage in passages]
    occurrences = fingerprint.occurrences(hashes) if occurrences is None else occurrences
    columns = {name: Ragged.concatenate([part[name] for part in parts]) for name in parts[0]}
    return ReaderRows(columns | {"row_id": _row_ids(hashes, occurrences)}, hashes, occurrences, cut_rows)


def _columns(
    encoded: Sequence[Encoded], golds: Mapping[str, Ragged], *, with_characters: bool
) -> dict[str, Ragged]:
    columns = {
        "input_ids": Ragged.from_rows([row.input_ids for row in encoded], np.int32),
        "token_type_ids": Ragged.from_rows([row.token_type_ids for row in encoded], np.uint8),
        "question": pairs([row.question for row in encoded]),
        "passage": pairs([row.passage for row in encoded]),
        "passage_offsets": Ragged.from_rows([row.passage_offsets.reshape(-1) for row in encoded], np.int32),
        "question_offsets": Ragged.from_rows([row.question_offsets.reshape(-1) for row in encoded], np.int32),
        **golds,
    }
    if with_characters:
        spelt = [row.character_ids.reshape(-1) for row in encoded if row.character_ids is not None]
        columns["character_ids"] = Ragged.from_rows(spelt, np.uint16)
    return columns


def _golds(
    passages: Sequence[Passage], encoded: Sequence[Encoded], labels: str, classes: Sequence[str]
) -> dict[str, Ragged]:
    rows = list(zip(passages, encoded, strict=True))
    golds = [gold_of(labels, passage, row, classes) for passage, row in rows]
    columns = {"gold": Ragged.from_rows(golds, golds[0].dtype if golds else np.int32)}
    if labels == "tags":
        pieces = [first_pieces(passage.text, row.passage_offsets, row.passage[0]) for passage, row in rows]
        columns["words"] = Ragged.from_rows(pieces, np.int32)
    return columns


def pairs(values: Sequence[tuple[int, int]]) -> Ragged:
    """A column of two integers a row."""
    return Ragged.of_equal(np.array(values, np.int32).reshape(-1, 2))


def _row_ids(hashes: Sequence[bytes], occurrences: Sequence[int]) -> Ragged:
    ids: NDArray[np.uint8] = np.empty((len(hashes), fingerprint.HASH_BYTES + 4), np.uint8)
    ids[:, : fingerprint.HASH_BYTES] = np.frombuffer(b"".join(hashes), np.uint8).reshape(len(hashes), -1)
    ids[:, fingerprint.HASH_BYTES :] = np.array(occurrences, "<i4").reshape(-1, 1).view(np.uint8)
    return Ragged.of_equal(ids)


def passages_path(folder: Path, split: str) -> Path:
    """The table of passages of one split of a data set."""
    return folder / f"{split}.arrow"
