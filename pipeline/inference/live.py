"""Targets from a teacher in memory: what a cache holds, worked out when asked for, in float32."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int

from pipeline import fingerprint
from pipeline.cache.columns import TOKEN, TOKEN_PAIRS, Column, pairs
from pipeline.cache.fields import TOKENS, spec_of
from pipeline.cache.gather import ColumnReader
from pipeline.cache.ragged import Ragged
from pipeline.errors import MismatchError
from pipeline.inference.teacher import SpanTeacher
from pipeline.schema import Passage
from pipeline.text.tokenizers import Encoder


class LiveTargets:
    """A teacher in the place of its cache, over the same rows; for checks, since it saves nothing.

    Args:
        teacher: The teacher, with the fields to compute.
        encoder: Its tokenizer.
        passages: The rows.
        max_length: Tokens a row at most.
        max_question_tokens: Tokens of its question at most.
    """

    def __init__(
        self,
        teacher: SpanTeacher,
        encoder: Encoder,
        passages: Sequence[Passage],
        *,
        max_length: int,
        max_question_tokens: int,
    ) -> None:
        self._teacher = teacher
        self._rows = encoder.encode(
            [passage.question for passage in passages],
            [passage.text for passage in passages],
            max_length=max_length,
            max_question_tokens=max_question_tokens,
        )
        self._answers = [passage.answers for passage in passages]
        hashes = [fingerprint.input_hash(passage.question, passage.text) for passage in passages]
        row_ids = zip(hashes, fingerprint.occurrences(hashes), strict=True)
        self._positions = {row_id: position for position, row_id in enumerate(row_ids)}

    def __len__(self) -> int:
        return len(self._rows)

    def positions(self, row_ids: Sequence[bytes], occurrences: Sequence[int]) -> Int[np.ndarray, " rows"]:
        """Where rows lie, by input hash and occurrence.

        Raises:
            MismatchError: Names the first row that is not there.
        """
        wanted = list(zip(row_ids, occurrences, strict=True))
        missing = next((row_id for row_id in wanted if row_id not in self._positions), None)
        if missing is not None:
            raise MismatchError(
                "live targets",
                expected=f"row {missing[0].hex()}, occurrence {missing[1]}",
                got=f"{len(self)} rows without it",
                remedy="give the teacher the passages that the student was bound to",
            )
        return np.array([self._positions[row_id] for row_id in wanted], np.int64)

    def announce(self, positions: Int[np.ndarray, " rows"], columns: Sequence[str]) -> None:
        """Nothing lies on a disk here."""

    def batch(self, positions: Int[np.ndarray, " batch"], columns: Sequence[str]) -> dict[str, np.ndarray]:
        """Padded columns of some rows, in the order asked for, with the lengths of their axes."""
        fields = {TOKENS: {}, **self._teacher.fields}
        given = {name: spec_of(name).given(options) for name, options in fields.items()}
        specs = {column.name: column for held in given.values() for column in held}
        groups = {name for name, held in given.items() for column in held if column.name in columns}
        rows = [self._rows[position] for position in positions.tolist()]
        answers = [self._answers[position] for position in positions.tolist()]
        read = self._teacher.read(rows, groups, answers=answers)
        extents = {
            "passage": np.array([row.passage[1] - row.passage[0] for row in rows], np.int64),
            "question": np.array([row.question[1] - row.question[0] for row in rows], np.int64),
            TOKEN: np.array([len(row.input_ids) for row in rows], np.int64),
        }
        extents[TOKEN_PAIRS] = pairs(extents[TOKEN])
        # Axes that are a row's own have a column of them alone.
        own = {spec.axes[0]: name for name, spec in specs.items() if name in read and len(spec.axes) == 1}
        extents |= {
            axis: read[name].lengths
            for axis, name in own.items()
            if axis not in extents and axis not in specs[name].extents
        }
        axes = {axis for name in columns for axis in specs[name].axes}
        axes |= {TOKEN} if TOKEN_PAIRS in axes else set()
        return {name: _padded(read[name], specs[name], extents) for name in columns} | {
            f"{axis}_length": extent.astype(np.int64) for axis, extent in extents.items() if axis in axes
        }


def _padded(values: Ragged, column: Column, extents: Mapping[str, np.ndarray]) -> np.ndarray:
    every = np.arange(len(values), dtype=np.int64)
    fixed, last = column.extents, column.axes[-1]
    wide = len(column.axes) > 1
    reader = ColumnReader(
        [values],
        width=fixed.get(last, 1) if wide else None,
        outer=fixed[column.axes[0]] if len(column.axes) == 3 else None,
    )
    return reader.padded(every, extents[last] if wide and last not in fixed else None)
