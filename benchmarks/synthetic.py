"""Made-up targets and inputs of the sizes that real ones have."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from pipeline.cache.fields import spec_of
from pipeline.cache.fill import fill
from pipeline.cache.plan import plan
from pipeline.cache.ragged import Ragged
from pipeline.cache.rows import RowTable
from pipeline.cache.settings import CacheSettings

QUESTION = 16
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
    """

    num_rows: int
    shortest: int = 80
    longest: int = 384
    seed: int = 0

    @cached_property
    def lengths(self) -> np.ndarray:
        """Passage tokens of every row."""
        return np.random.default_rng(self.seed).integers(self.shortest, self.longest + 1, self.num_rows)

    @cached_property
    def columns(self) -> dict[str, Ragged]:
        """The columns in memory, float16; a row's values lie one after the other."""
        random = np.random.default_rng(self.seed + 1)
        columns = {}
        for name, width in COLUMNS.items():
            offsets = np.concatenate([[0], np.cumsum(self.lengths * width)])
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

    def write_cache(self, folder: Path) -> dict[str, str]:
        """A sealed cache; returns the identities of its fields."""
        names = self.identities()
        table = RowTable.build(
            input_hashes=names,
            gold_hashes=names,
            lengths=(self.lengths + QUESTION + 3).tolist(),
            question_lengths=[QUESTION] * self.num_rows,
            splits=["train"] * self.num_rows,
        )
        settings = CacheSettings(
            teacher={"weights": "made up", "config": "made up"},
            tokenizer="made up",
            numbers={},
            fields=FIELDS,
        )
        return dict(fill(plan(folder, table, settings), self._reader()).identity)

    def _reader(self) -> Callable[[np.ndarray, frozenset[str]], Mapping[str, Ragged]]:
        def read(ordinals: np.ndarray, fields: frozenset[str]) -> dict[str, Ragged]:
            columns = {
                name: Ragged.from_rows([column.row(int(row)) for row in ordinals], np.float32)
                for name, column in self.columns.items()
            }
            columns["passage_offsets"] = Ragged.from_rows(
                [_spans(int(length)) for length in self.lengths[ordinals]], np.int32
            )
            columns["question_offsets"] = Ragged.from_rows([_spans(QUESTION)] * len(ordinals), np.int32)
            held = {column.name for field in fields for column in spec_of(field).columns}
            return {name: column for name, column in columns.items() if name in held}

        return read


def _spans(count: int) -> np.ndarray:
    """Tokens of three characters, one after the other."""
    starts = np.arange(count, dtype=np.int32) * 3
    return np.stack([starts, starts + 3], axis=1).reshape(-1)
