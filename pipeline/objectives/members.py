"""What a term's teacher says on the student's classes, whether it is one teacher or a mix of several."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from pipeline.cache.mix import MEAN_LOGITS, Mix
from pipeline.objectives.alignment import Aligned, SpanLogits, align_logits, align_mean, mean_logits
from pipeline.objectives.attention import AlignedAttention, align_attention, mean_attention
from pipeline.objectives.term import Batch


def aligned_logits(
    targets: Mapping[str, Any],
    source: str,
    mix: Mix | None,
    *,
    part: str,
    classes: int,
    temperature: float,
    given_start: bool = False,
) -> Aligned:
    """Logits of one part of the teacher, or the mean of the teachers, called `source`.

    A mean of logits is taken first, in the teachers' shared tokens; of probabilities last, in the student's.
    Classes are the same for both; of a span they are tokens, which are not.

    Args:
        targets: The batch's targets by alias; a mix's members are `source`/0, `source`/1, ...
        source: The alias.
        mix: How its members are averaged; None where it is one teacher.
        part: What the student calls these logits: "start", "end" or "class".
        classes: How many of them the student has.
        temperature: Softens every teacher before its mass is moved.
        given_start: Whether the end is that given the gold start; where a teacher saw none, no mass is kept.
    """
    aliases = mix.aliases(source) if mix else (source,)
    if given_start and part == "end":
        said, seen = zip(*(_end_given_start(targets[alias]) for alias in aliases), strict=True)
        aligned = _aligned(said, mix, classes=classes, temperature=temperature)
        return aligned._replace(kept=aligned.kept * torch.stack(seen).all(0))
    said = tuple(_logits(targets[alias], part) for alias in aliases)
    return _aligned(said, mix, classes=classes, temperature=temperature)


def _aligned(said: Sequence[SpanLogits], mix: Mix | None, *, classes: int, temperature: float) -> Aligned:
    if mix is None:
        return align_logits(*said[0], positions=classes, temperature=temperature)
    if mix.mean == MEAN_LOGITS:
        mean = mean_logits([of_one.logits for of_one in said], mix.weights)
        return align_logits(mean, *said[0][1:], positions=classes, temperature=temperature)
    return align_mean(said, mix.weights, positions=classes, temperature=temperature)


def aligned_attention(batch: Batch, source: str, mix: Mix | None) -> AlignedAttention:
    """Attention of the teacher, or the mean of the teachers, called `source`."""
    members = [_attention(batch, alias) for alias in (mix.aliases(source) if mix else (source,))]
    return mean_attention(members, mix.weights) if mix else members[0]


def _logits(targets: Mapping[str, Any], part: str) -> SpanLogits:
    logits = targets[f"{part}_logits"]
    if part != "class":
        return SpanLogits(logits, targets[f"{part}_map"], targets["passage_length"])
    rows, classes = logits.shape
    same = torch.arange(classes, device=logits.device).expand(rows, -1)
    return SpanLogits(logits, same, same.new_full((rows,), classes))


def _end_given_start(targets: Mapping[str, Any]) -> tuple[SpanLogits, Bool[Tensor, " batch"]]:
    """The end logits given the gold start, and which rows have one."""
    rows, seen = targets["gold_end_logits"], targets["gold_length"] > 0
    # A batch without any gold start has no row at all.
    logits = rows[:, 0] if rows.shape[1] else rows.new_zeros(len(rows), rows.shape[2])
    return SpanLogits(logits, targets["end_map"], targets["passage_length"]), seen


def _attention(batch: Batch, alias: str) -> AlignedAttention:
    targets = batch["targets"][alias]
    return align_attention(
        targets["qa_attention"],
        teacher_passage=targets["passage_offsets"],
        teacher_question=targets["question_offsets"],
        student_passage=batch["passage_offsets"],
        student_question=batch["question_offsets"],
    )
