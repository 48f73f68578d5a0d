"""What target sets give to bound rows: token maps, confusing answers, the mass that was lost."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.binding.choices import confusing_choices
from pipeline.binding.inputs import BoundMix, BoundTargets
from pipeline.binding.lost import check_lost, lost_mass, lost_words
from pipeline.binding.rows import ReaderRows, pairs
from pipeline.binding.target_rows import TargetRows, TargetSet, check_classes, check_same_tokens, open_at
from pipeline.binding.token_spans import RowTokens, token_spans
from pipeline.cache.columns import TOKEN
from pipeline.cache.fields import spec_of
from pipeline.cache.mix import MEAN_LOGITS, Mix
from pipeline.cache.ragged import Ragged
from pipeline.errors import MismatchError
from pipeline.schema import Passage
from pipeline.tasks import SPAN, TAGGING, TASKS
from pipeline.tasks.answers import NULL_SPAN, gold_span
from pipeline.tasks.gold import first_pieces


@dataclass(frozen=True)
class MixedSets:
    """Several target sets that a source's terms read as one.

    Args:
        members: The sets, each with all that the terms need.
        mix: How they are averaged.
    """

    members: tuple[TargetSet, ...]
    mix: Mix


@dataclass(frozen=True)
class Bound:
    """The columns of one alias beside a student's rows, and their description by alias of each set."""

    columns: dict[str, Ragged]
    described: dict[str, BoundTargets]
    mixes: dict[str, BoundMix]


def bind_targets(
    alias: str,
    targets: TargetSet | MixedSets,
    rows: ReaderRows,
    passages: Sequence[Passage],
    *,
    language: str,
    lost_mass_limit: float,
    task: str = SPAN,
    num_classes: int | None = None,
) -> Bound:
    """Join bound rows with one target set, or several as one, by the content of the rows.

    A mix has one confusing answer a row, and the maps of each member. Logits of classes need no map, those
    of words one from word to token.

    Raises:
        CacheError: A cache is unsealed, damaged, holds not all rows and fields, or has tokens whose logits
            cannot be averaged with another's, or other classes.
        DataError: More of a teacher's mass is lost than `lost_mass_limit`.
    """
    mix = targets.mix if isinstance(targets, MixedSets) else None
    sets = targets.members if isinstance(targets, MixedSets) else (targets,)
    aliases = mix.aliases(alias) if mix else (alias,)
    teachers = [open_at(of_one, rows, passages) for of_one in sets]
    if mix and mix.mean == MEAN_LOGITS and task in (SPAN, TAGGING):
        check_same_tokens(teachers)
    for teacher in teachers:
        check_classes(teacher, TASKS[task].field, num_classes)
    words = [_word_map(teacher, passages) if task == TAGGING else None for teacher in teachers]
    lost = [
        lost_mass(teacher) if of_words is None else lost_words(of_words)
        for teacher, of_words in zip(teachers, words, strict=True)
    ]
    for teacher, of_teacher in zip(teachers, lost, strict=True):
        check_lost(of_teacher, lost_mass_limit, teacher.targets.folder)
    own_tokens = RowTokens(
        rows.columns["question_offsets"], rows.columns["passage_offsets"], rows.columns["input_ids"].lengths
    )
    chosen = confusing_choices(teachers, passages, language)
    columns = {f"{alias}/confusing": pairs([choice.span for choice in chosen])} if task == SPAN else {}
    described = {}
    for number, (name, teacher) in enumerate(zip(aliases, teachers, strict=True)):
        if task == SPAN:
            columns |= {f"{name}/start_map": teacher.maps.start, f"{name}/end_map": teacher.maps.end}
        if (of_words := words[number]) is not None:
            columns[f"{name}/word_map"] = of_words
        beside = _beside(teacher, own_tokens, passages)
        columns |= {f"{name}/{column}": values for column, values in beside.items()}
        described[name] = BoundTargets(
            set=teacher.targets.folder.name,
            columns=list(teacher.targets.columns),
            fields=list(teacher.targets.fields),
            identity=teacher.identity,
            options={name: teacher.options[name] for name in teacher.targets.fields},
            equal_tokens=own_tokens.equal(teacher.tokens),
            lost=lost[number],
            confusing_rows=sum(choice.teacher == number for choice in chosen),
        )
    if mix is None:
        return Bound(columns, described, {})
    total = sum(of_one["confusing_rows"] for of_one in described.values())
    bound = BoundMix(mean=mix.mean, weights=list(mix.weights), confusing_rows=total)
    return Bound(columns, described, {alias: bound})


def _beside(teacher: TargetRows, own: RowTokens, passages: Sequence[Passage]) -> dict[str, Ragged]:
    """What a student with other tokens needs to know of the teacher's, by the fields that are read.

    Written where tokens are the same too, for in another source of the same phase they may not be.
    """
    columns = {}
    specs = [spec_of(name) for name in teacher.targets.fields]
    if any(spec.layers and TOKEN in column.axes for spec in specs for column in spec.columns):
        columns["token_spans"] = token_spans(own, teacher.tokens)
    if "span_logits" in teacher.targets.fields:
        golds = [
            NULL_SPAN
            if passage.is_impossible
            else gold_span(passage.answers, teacher.offsets.row(row).reshape(-1, 2))
            for row, passage in enumerate(passages)
        ]
        columns["gold"] = pairs(golds)
    return columns


def _word_map(teacher: TargetRows, passages: Sequence[Passage]) -> Ragged:
    """For each word, the token of the teacher's row that is its first piece; `LOST` where there is none."""
    lengths = teacher.cache.rows.length[teacher.positions]
    special = set((lengths - teacher.offsets.lengths // 2).tolist())
    if not special <= {0, 2}:
        raise MismatchError(
            teacher.targets.folder,
            expected="texts alone, between two special tokens or none",
            got=f"{sorted(special - {0, 2})} tokens more than those of the text",
            remedy="tag with a teacher whose tokenizer has [CLS] and [SEP], or neither",
        )
    rows = zip(passages, lengths, range(len(passages)), strict=True)
    return Ragged.from_rows(
        [
            first_pieces(passage.text, offsets, int(length > len(offsets)))
            for passage, length, row in rows
            for offsets in [teacher.offsets.row(row).reshape(-1, 2)]
        ],
        np.int32,
    )
