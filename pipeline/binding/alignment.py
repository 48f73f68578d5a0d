"""Which student token each teacher token's mass goes to, for all rows at once."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.cache.ragged import Ragged

LOST = -1


class TokenMaps(NamedTuple):
    """For every teacher token of every row, a student token of the same row; `LOST` where there is none."""

    start: Ragged
    end: Ragged


def token_maps(teacher: Ragged, student: Ragged) -> TokenMaps:
    """Map teacher tokens to student tokens by the characters of the passage that both cover.

    A token's start mass goes to the student token that covers its first character, its end mass to the one
    that covers its last. Where that character lies between student tokens (a space that only the teacher's
    tokens include, a mark that the student's tokenizer drops), the nearest character of the teacher's token
    that is covered stands for it. What lies beyond the student's last token was cut off and is lost: a
    token whose end was cut off keeps its start mass alone.

    Args:
        teacher: First character and the one after the last of each passage token, flat, a row a passage.
        student: The same of the student's tokens. Both are in the order of the text.
    """
    wanted, given = _Tokens.of(teacher), _Tokens.of(student)
    # Every row gets characters of its own, so that one search over all rows never finds another's token.
    stride = max(wanted.ends.max(initial=0), given.ends.max(initial=0)) + 1
    starts, ends = wanted.starts + wanted.rows * stride, wanted.ends + wanted.rows * stride
    given_starts, given_ends = given.starts + given.rows * stride, given.ends + given.rows * stride

    first = np.searchsorted(given_ends, starts, side="right")
    last = np.searchsorted(given_starts, ends, side="left") - 1
    # Sentinels overlap nothing; index -1 and one past the end both find them.
    reach_starts, reach_ends = np.append(given_starts, ends.max(initial=0)), np.append(given_ends, -1)
    first_found = reach_starts[first] < ends
    row_starts, row_ends = student.offsets[:-1][wanted.rows] // 2, student.offsets[1:][wanted.rows] // 2
    was_cut = (last == row_ends - 1) & (reach_ends[last] < ends)
    last_found = (reach_ends[last] > starts) & ~was_cut

    return TokenMaps(
        Ragged(np.where(first_found, first - row_starts, LOST).astype(np.int32), teacher.offsets // 2),
        Ragged(np.where(last_found, last - row_starts, LOST).astype(np.int32), teacher.offsets // 2),
    )


class _Tokens(NamedTuple):
    """All tokens of all rows, one after the other."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    rows: NDArray[np.int64]

    @classmethod
    def of(cls, offsets: Ragged) -> "_Tokens":
        starts, ends = offsets.values.reshape(-1, 2).T.astype(np.int64)
        return cls(starts, ends, np.repeat(np.arange(len(offsets)), np.diff(offsets.offsets) // 2))
