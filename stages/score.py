"""Scores of cached teachers, one or several as an ensemble, for `coldbrew cache score`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import ParamsError
from pipeline.evaluation.cached import score_cached
from stages.folders import PASSAGES, TARGETS
from stages.params import load
from stages.running import entry
from stages.two_step import is_two_step


def score(names: Sequence[str], params: Path, split: str) -> dict[str, Any]:
    """Official scores over a split of what the teachers of these target sets said, averaged.

    Raises:
        ParamsError: There is no such target set, or they are of different data sets.
    """
    settings = load(params)
    sets = [
        settings.merges[name] if name in settings.merges else entry(settings.targets, name, "targets")
        for name in names
    ]
    datasets = {held.dataset for held in sets}
    if len(datasets) > 1 or any(split not in held.splits for held in sets):
        raise ParamsError(
            "cache score",
            expected=f"target sets of one data set that hold its split {split!r}",
            got=", ".join(
                f"{name} of {held.dataset} {held.splits}" for name, held in zip(names, sets, strict=True)
            ),
            remedy="add the split to their splits, or name others",
        )
    (dataset,) = datasets
    teachers = {settings.targets[name].teacher for target in names for name in settings.read_sets(target)}
    return score_cached(
        [TARGETS / name for name in names],
        PASSAGES / dataset,
        split,
        language=settings.datasets[dataset].language,
        free_text=dataset in settings.evaluation.free_text,
        variants=dataset in settings.evaluation.variants,
        null_score_diff_threshold=settings.evaluation.null_score_diff_threshold,
        max_answer_tokens=settings.evaluation.max_answer_tokens,
        two_step=any(is_two_step(settings.teachers[name].model) for name in teachers),
    )
