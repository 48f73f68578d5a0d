"""Made-up targets and inputs of the sizes that real ones have."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.cache.fields import spec_of
from pipeline.cache.fill import fill
from pipeline.cache.plan import plan
from pipeline.cache.ragged import Ragged
from pipeline.cache.rows import RowTable
from pipeline.cache.settings import CacheSettings

QUESTION = 16
WIDTH = 768
COLUMNS = {"start_logits": 1, "end_logits": 1, "qa_attention": QUESTION}
FIELDS = {"span_logits": {"dtype": "float16"}, "qa_attention": {"dtype": "float16"}}


@dataclass(frozen=True)
class Targets:
    """Rows of random targets, the same for the same seed.

    Args:
        num_rows: How many.
        shortest: Passage tokens of a row, at least.
        longest: The same, at most.
        seed: Of lengths and values.
        layers: Layers of a teacher of `WIDTH` whose hidden states there are too.
        attention: Whether there is an attention block beside the logits.
    """

    num_rows: int
    shortest: int = 80
    longest: int = 384
    seed: int = 0
    layers: tuple[int, ...] = ()
    attention: bool = True

    @property
    def fields(self) -> dict[str, dict[str, Any]]:
        """The fields of a cache, with their options."""
        layers = {
            f"hidden_states_{layer}": {"layer": layer, "width": WIDTH, "dtype": "float16"}
            for layer in self.layers
        }
        return {
            name: options for name, options in FIELDS.items() if self.attention or name == "span_logits"
        } | layers

    @cached_property
    def lengths(self) -> np.ndarray:
        """Passage tokens of every row."""
        return np.random.default_rng(self.seed).integers(self.shortest, self.longest + 1, self.num_rows)

    @cached_property
    def columns(self) -> dict[str, Ragged]:
        """The columns in memory, float16; a row's values lie one after the other."""
        random = np.random.default_rng(self.seed + 1)
        columns = {}
        sizes = {
            name: self.lengths * width for name, width in COLUMNS.items() if self.attention or width == 1
        }
        sizes |= {f"hidden_states_{layer}": (self.lengths + QUESTION + 3) * WIDTH for layer in self.layers}
        for name, size in sizes.items():
            offsets = np.concatenate([[0], np.cumsum(size)])
            columns[name] = Ragged(random.random(offsets[-1], np.float32).astype(np.float16), offsets)
        return columns

    def inputs(self, vocabulary: int, alias: str) -> dict[str, Ragged]:
        """The columns of a student with the teacher's tokens: [CLS] question [SEP] passage [SEP]."""
        random = np.random.default_rng(self.seed + 2)
        first = QUESTION + 2
        passages = [int(length) for length in self.lengths]
        starts = [int(random.integers(length - 4)) for length in passages]
        maps = Ragged.from_rows([np.arange(length) for length in passages], np.int32)

        def pairs(rows: list[tuple[int, int]]) -> Ragged:
            return Ragged.of_equal(np.array(rows, np.int32))

        return {
            "input_ids": Ragged.from_rows(
                [random.integers(5, vocabulary, first + length + 1) for length in passages], np.int32
            ),
            "token_type_ids": Ragged.from_rows(
                [np.repeat([0, 1], [first, length + 1]) for length in passages], np.uint8
            ),
            "question": pairs([(1, first - 1)] * self.num_rows),
            "passage": pairs([(first, first + length) for length in passages]),
            "gold": pairs([(start, start + 3) for start in starts]),
            "passage_offsets": Ragged.from_rows([_spans(length) for length in passages], np.int32),
            "question_offsets": Ragged.from_rows([_spans(QUESTION)] * self.num_rows, np.int32),
            f"{alias}/start_map": maps,
            f"{alias}/end_map": maps,
        }

    def identities(self) -> list[bytes]:
        """An input hash for every row."""
        return [row.to_bytes(16, "little") for row in range(self.num_rows)]

    def write_raw(self, folder: Path) -> None:
        """The columns as plain arrays, values and offsets, for other libraries to read."""
        folder.mkdir(parents=True)
        for name, column in self.columns.items():
            np.save(folder / f"{name}.values.npy", column.values)
            np.save(folder / f"{name}.offsets.npy", column.offsets)

    def write_cache(self, folder: Path, backend: str = "arrow") -> dict[str, str]:
        """A sealed cache; returns the identities of its fields."""
        return dict(fill(plan(folder, self.table, self._settings(backend)), self.read).identity)

    def _settings(self, backend: str) -> CacheSettings:
        return CacheSettings(
            teacher={"weights": "made up", "config": "made up"},
            tokenizer="made up",
            numbers={},
            fields=self.fields,
            backend=backend,
        )

    @cached_property
    def table(self) -> RowTable:
        """The rows of the cache."""
        names = self.identities()
        return RowTable.build(
            input_hashes=names,
            gold_hashes=names,
            lengths=(self.lengths + QUESTION + 3).tolist(),
            question_lengths=[QUESTION] * self.num_rows,
            splits=["train"] * self.num_rows,
        )

    @cached_property
    def answers(self) -> dict[str, Ragged]:
        """What a teacher says of all rows: the columns in float32, and the tokens."""
        columns = {
            name: Ragged(column.values.astype(np.float32), column.offsets)
            for name, column in self.columns.items()
        }
        questions = np.full(self.num_rows, QUESTION)
        return columns | {
            "passage_offsets": _spans_of(self.lengths),
            "question_offsets": _spans_of(questions),
        }

    def read(self, rows: np.ndarray, fields: frozenset[str]) -> dict[str, Ragged]:
        """A teacher that takes no time; it is asked for rows that follow one another."""
        first, end = int(rows[0]), int(rows[-1]) + 1
        held = {column.name for field in fields for column in spec_of(field).columns}
        return {name: _part(self.answers[name], first, end) for name in held}


def _part(column: Ragged, first: int, end: int) -> Ragged:
    start, stop = column.offsets[first], column.offsets[end]
    return Ragged(column.values[start:stop], column.offsets[first : end + 1] - start)


def _spans_of(lengths: np.ndarray) -> Ragged:
    ends = np.cumsum(lengths)
    starts = 3 * (np.arange(ends[-1], dtype=np.int32) - np.repeat(ends - lengths, lengths).astype(np.int32))
    return Ragged(np.stack([starts, starts + 3], axis=1).reshape(-1), np.concatenate([[0], 2 * ends]))


def _spans(count: int) -> np.ndarray:
    """Tokens of three characters, one after the other."""
    starts = np.arange(count, dtype=np.int32) * 3
    return np.stack([starts, starts + 3], axis=1).reshape(-1)
