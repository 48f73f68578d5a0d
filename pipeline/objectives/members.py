"""What a term's teacher says on the student's classes, whether it is one teacher or a mix of several."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from pipeline.cache.mix import MEAN_LOGITS, Mix
from pipeline.losses.softening import Temperature
from pipeline.objectives.alignment import Aligned, SpanLogits, align_logits, align_mean, mean_logits
from pipeline.objectives.attention import AlignedAttention, align_attention, mean_attention
from pipeline.objectives.probability_shift import probability_shift
from pipeline.objectives.term import Batch
from pipeline.tasks.span import with_null

_SIDES = ("start", "end")


def aligned_logits(
    targets: Mapping[str, Any],
    source: str,
    mix: Mix | None,
    *,
    part: str,
    classes: int,
    temperature: Temperature,
    has_null: bool = False,
    right: Mapping[str, Int[Tensor, " batch"]] = MappingProxyType({}),
) -> Aligned:
    """Logits of one part of the teacher, or the mean of the teachers, called `source`.

    A mean of logits is taken first, in the teachers' shared tokens; of probabilities last, in the student's.
    Classes are the same for both; of a span they are tokens, which are not. Words of a tagger count as rows.

    Args:
        targets: The batch's targets by alias; a mix's members are `source`/0, `source`/1, ...
        source: The alias.
        mix: How its members are averaged; None where it is one teacher.
        part: What the student calls these logits: "start", "end", "class" or "token".
        classes: How many of them the student has.
        temperature: Softens every teacher before its mass is moved.
        has_null: Whether the first place of a span is that of no answer, which is apart from all tokens.
        right: The right class of each row, by member, where a teacher that errs is put right.
    """
    said = [
        _logits(targets[alias], part, right.get(alias), has_null)
        for alias in (mix.aliases(source) if mix else (source,))
    ]
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


def _logits(
    targets: Mapping[str, Any], part: str, right: Int[Tensor, " batch"] | None, has_null: bool
) -> SpanLogits:
    logits = targets[f"{part}_logits"]
    classes = logits.shape[-1]
    if part in _SIDES:
        said = SpanLogits(logits, targets[f"{part}_map"], targets["passage_length"])
        if has_null:
            null = targets["null_logits"][:, _SIDES.index(part), None]
            token_map = torch.nn.functional.pad(with_null(said.token_map), (1, 0))
            said = SpanLogits(torch.cat([null, logits], dim=1), token_map, said.length + 1)
            right = None if right is None else with_null(right)
    else:
        known = torch.ones(len(logits), dtype=torch.bool, device=logits.device)
        if part == "token":
            words = targets["word_map"]
            logits = logits.gather(1, words.clamp(min=0)[:, :, None].expand(-1, -1, classes)).flatten(0, 1)
            known = words.flatten() >= 0
        same = torch.arange(classes, device=logits.device).expand(len(logits), -1)
        # Of a word that the teacher has not read it says nothing.
        said = SpanLogits(logits, same, known * classes)
    if right is None:
        return said
    exists = torch.arange(said.logits.shape[-1], device=logits.device) < said.length.unsqueeze(1)
    return said._replace(logits=probability_shift(said.logits, right, mask=exists))


def _attention(batch: Batch, alias: str) -> AlignedAttention:
    targets = batch["targets"][alias]
    return align_attention(
        targets["qa_attention"],
        teacher_passage=targets["passage_offsets"],
        teacher_question=targets["question_offsets"],
        student_passage=batch["passage_offsets"],
        student_question=batch["question_offsets"],
    )
