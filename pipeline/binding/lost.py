"""How much of what a teacher says reaches no token of the student, or no word."""

from pathlib import Path

import numpy as np
from scipy.special import softmax

from pipeline.binding.alignment import LOST
from pipeline.binding.target_rows import TargetRows, parts
from pipeline.cache.ragged import Ragged
from pipeline.errors import DataError

_SIDES = ("start", "end")


def lost_mass(teacher: TargetRows) -> dict[str, float]:
    """The mean over all rows of the start and end probability that no student token receives, at T = 1.

    Rounded, so that values which differ in their last bits between machines are described alike. Empty where
    no logits are read.
    """
    if "span_logits" not in teacher.targets.fields:
        return {}
    lost = {}
    for side, token_map in zip(_SIDES, teacher.maps, strict=True):
        row_of_value = np.repeat(np.arange(len(token_map)), token_map.lengths)
        rows = np.unique(row_of_value[token_map.values == LOST])
        total = 0.0
        for part in parts(len(rows)):
            batch = teacher.cache.batch(teacher.positions[rows[part]], [f"{side}_logits"])
            for row, logits in zip(rows[part], batch[f"{side}_logits"], strict=True):
                is_lost = token_map.row(int(row)) == LOST
                total += float(softmax(logits[: len(is_lost)].astype(np.float64))[is_lost].sum())
        lost[side] = round(total / max(len(teacher.positions), 1), 4)
    return lost


def lost_words(word_map: Ragged) -> dict[str, float]:
    """The share of words that the teacher has not read."""
    return {"word": round(float(np.mean(word_map.values == LOST)), 4) if len(word_map.values) else 0.0}


def check_lost(lost: dict[str, float], limit: float, folder: Path) -> None:
    """Stop where more than a share of the teacher's mass, or of the words, is lost.

    Raises:
        DataError: Names the side.
    """
    for side, share in lost.items():
        if share > limit:
            raise DataError(
                folder,
                expected=f"{1 - limit:.1%} of the teacher's {side} mass or more on the student's tokens",
                got=f"{1 - share:.1%}, the rest on tokens that the student's length limit cuts off",
                remedy="raise max_length, lower the selection's max_tokens, or raise lost_mass_limit",
            )
