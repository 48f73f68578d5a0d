"""Questions that stand in several variants, scored by the worst of each: adversarial SQuAD."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.evaluation.answers import EM, F1


def worst_variants(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """EM and F1 in percent over questions, each scored by its variant of the lowest F1, the first of several.

    What an id has before its first "-" names the question. One whose id is that alone is the original, which
    counts only where it has no variant.

    Source: Jia and Liang 2017, Adversarial Examples for Evaluating Reading Comprehension Systems,
    arXiv:1707.07328, and the script that comes with it, whose numbers these are.

    Args:
        rows: As of `score_answers`; those without a gold answer do not count.

    Returns:
        The scores and their number of questions under `worst_variant`; nothing without any question.
    """
    worst: dict[str, tuple[bool, Mapping[str, Any]]] = {}
    for row in rows:
        if F1 not in row:
            continue
        question = row["id"].partition("-")[0]
        is_variant = row["id"] != question
        held = worst.get(question)
        if held is None or (is_variant and (not held[0] or row[F1] < held[1][F1])):
            worst[question] = is_variant, row
    if not worst:
        return {}
    scores = {name: 100 * float(np.mean([row[name] for _, row in worst.values()])) for name in (EM, F1)}
    return {"worst_variant": {**scores, "rows": len(worst)}}
