"""What target sets give to bound rows: token maps, confusing answers, the mass that was lost."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline import fingerprint
from pipeline.binding.alignment import LOST, TokenMaps, token_maps
from pipeline.binding.confusing import confusing_span
from pipeline.binding.inputs import BoundMix, BoundTargets
from pipeline.binding.rows import ReaderRows, pairs
from pipeline.binding.token_spans import RowTokens, token_spans
from pipeline.cache.columns import TOKEN
from pipeline.cache.fields import is_of_gold, spec_of
from pipeline.cache.manifest import load_manifest
from pipeline.cache.mix import MEAN_LOGITS, Mix
from pipeline.cache.ragged import Ragged
from pipeline.cache.reader import TargetCache
from pipeline.cache.rows import hashes_to_array
from pipeline.errors import DataError, MismatchError
from pipeline.schema import Passage
from pipeline.tasks import SPAN, TAGGING, TASKS
from pipeline.tasks.answers import NO_SPAN, NULL_SPAN, gold_span, span_characters
from pipeline.tasks.gold import first_pieces

_CHUNK = 1024
_SIDES = ("start", "end")


@dataclass(frozen=True)
class TargetSet:
    """A target set that a source's terms read.

    Args:
        folder: The cache; its name is the set's.
        fields: The fields that the terms need of it.
        columns: The cached columns that training reads.
    """

    folder: Path
    fields: tuple[str, ...]
    columns: tuple[str, ...]


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


@dataclass(frozen=True)
class _Teacher:
    """One target set, open, with the way from its tokens to the student's."""

    targets: TargetSet
    cache: TargetCache
    positions: NDArray[np.int64]
    tokens: RowTokens
    maps: TokenMaps
    identity: dict[str, str]
    options: dict[str, dict[str, Any]]

    @property
    def offsets(self) -> Ragged:
        """Characters of the passage's tokens."""
        return self.tokens.passage


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
    teachers = [_open(of_one, rows, passages) for of_one in sets]
    if mix and mix.mean == MEAN_LOGITS and task == SPAN:
        _check_same_tokens(teachers)
    for teacher in teachers:
        _check_classes(teacher, TASKS[task].field, num_classes)
    words = [_word_map(teacher, passages) if task == TAGGING else None for teacher in teachers]
    lost = [
        _lost_mass(teacher) if of_words is None else _lost_words(of_words)
        for teacher, of_words in zip(teachers, words, strict=True)
    ]
    for teacher, of_teacher in zip(teachers, lost, strict=True):
        _check_lost(of_teacher, lost_mass_limit, teacher.targets.folder)
    own_tokens = RowTokens(
        rows.columns["question_offsets"], rows.columns["passage_offsets"], rows.columns["input_ids"].lengths
    )
    chosen = _confusing(teachers, passages, language)
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


def _open(targets: TargetSet, rows: ReaderRows, passages: Sequence[Passage]) -> _Teacher:
    manifest = load_manifest(targets.folder)
    identity = manifest.identity
    absent = [field for field in targets.fields if field not in identity]
    if absent:
        raise MismatchError(
            targets.folder,
            expected=f"the fields {', '.join(targets.fields)}",
            got=f"a cache without {', '.join(absent)}",
            remedy="add them to the target set's fields and run cache_targets",
        )
    pinned = {field: identity[field] for field in targets.fields}
    cache = TargetCache.open(targets.folder, expected=pinned)
    positions = cache.positions(rows.hashes, rows.occurrences)
    if any(map(is_of_gold, targets.fields)):
        _check_same_gold(cache, positions, passages)
    question, passage = (_offsets(cache, positions, part) for part in ("question", "passage"))
    tokens = RowTokens(question, passage, cache.rows.length[positions].astype(np.int64))
    maps = token_maps(passage, rows.columns["passage_offsets"])
    options = {name: dict(manifest.fields[name].options) for name in targets.fields}
    return _Teacher(targets, cache, positions, tokens, maps, pinned, options)


def _beside(teacher: _Teacher, own: RowTokens, passages: Sequence[Passage]) -> dict[str, Ragged]:
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


def _check_same_gold(cache: TargetCache, positions: NDArray[np.int64], passages: Sequence[Passage]) -> None:
    held = cache.rows.gold_hash[positions]
    given = hashes_to_array([fingerprint.gold_hash(row.answers, row.labels) for row in passages])
    other = np.flatnonzero((held != given).any(axis=1))
    if len(other):
        raise MismatchError(
            cache.path,
            expected="the labels that its end_rows were computed for",
            got=f"others in {len(other):,} of {len(given):,} rows",
            remedy="run cache_targets, which computes these rows again; where splits hold equal texts with"
            " other labels, give each split a target set of its own",
        )


def _check_classes(teacher: _Teacher, field: str, num_classes: int | None) -> None:
    held = teacher.cache.manifest.fields.get(field)
    given = held.options.get("num_classes") if held is not None else None
    if num_classes is not None and given is not None and given != num_classes:
        raise MismatchError(
            teacher.targets.folder,
            expected=f"logits of the {num_classes} classes that the student has",
            got=f"those of {given}",
            remedy="train student and teacher on data sets of the same classes",
        )


def _word_map(teacher: _Teacher, passages: Sequence[Passage]) -> Ragged:
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


def _lost_words(word_map: Ragged) -> dict[str, float]:
    """The share of words that the teacher has not read."""
    return {"word": round(float(np.mean(word_map.values == LOST)), 4) if len(word_map.values) else 0.0}


def _check_same_tokens(teachers: Sequence[_Teacher]) -> None:
    first = teachers[0]
    for other in teachers[1:]:
        tokens = {teacher.cache.manifest.tokenizer for teacher in (first, other)}
        equal = all(
            np.array_equal(getattr(first.offsets, part), getattr(other.offsets, part))
            for part in ("offsets", "values")
        )
        if len(tokens) > 1 or not equal:
            raise MismatchError(
                other.targets.folder,
                expected=f"the tokens of {first.targets.folder}, whose logits are averaged with these",
                got="another tokenizer" if len(tokens) > 1 else "other tokens",
                remedy="use mean_probabilities, which brings each teacher to the student's tokens first",
            )


def _offsets(cache: TargetCache, positions: NDArray[np.int64], axis: str) -> Ragged:
    rows: list[NDArray[np.int32]] = []
    for part in _parts(len(positions)):
        batch = cache.batch(positions[part], [f"{axis}_offsets"])
        rows += [
            offsets[:length].reshape(-1)
            for offsets, length in zip(batch[f"{axis}_offsets"], batch[f"{axis}_length"], strict=True)
        ]
    return Ragged.from_rows(rows, np.int32)


def _lost_mass(teacher: _Teacher) -> dict[str, float]:
    """The mean over all rows of the start and end probability that no student token receives, at T = 1.

    Rounded, so that values which differ in their last bits between machines are described alike. Empty where
    no logits are read.
    """
    if "span_logits" not in teacher.targets.fields:
        return {}
    lost = {}
    for side, token_map in zip(_SIDES, teacher.maps, strict=True):
        rows = np.unique(_row_of_values(token_map)[token_map.values == LOST])
        total = 0.0
        for part in _parts(len(rows)):
            batch = teacher.cache.batch(teacher.positions[rows[part]], [f"{side}_logits"])
            for row, logits in zip(rows[part], batch[f"{side}_logits"], strict=True):
                is_lost = token_map.row(int(row)) == LOST
                total += float(_softmax(logits[: len(is_lost)])[is_lost].sum())
        lost[side] = round(total / max(len(teacher.positions), 1), 4)
    return lost


def _check_lost(lost: dict[str, float], limit: float, folder: Path) -> None:
    for side, share in lost.items():
        if share > limit:
            raise DataError(
                folder,
                expected=f"{1 - limit:.1%} of the teacher's {side} mass or more on the student's tokens",
                got=f"{1 - share:.1%}, the rest on tokens that the student's length limit cuts off",
                remedy="raise max_length, lower the selection's max_tokens, or raise lost_mass_limit",
            )


class _Candidate(NamedTuple):
    """One of a teacher's best spans of a row, in its own tokens."""

    log_prob: float
    teacher: int
    span: tuple[int, int]


class _Choice(NamedTuple):
    """The confusing answer of a row, in student tokens, and which teacher's it is; -1 for none."""

    span: tuple[int, int]
    teacher: int


_NO_CHOICE = _Choice(NO_SPAN, -1)


def _confusing(teachers: Sequence[_Teacher], passages: Sequence[Passage], language: str) -> list[_Choice]:
    """The confusing answer of every row: of several teachers, the one with the highest confidence."""
    if any("top_spans" not in teacher.targets.fields for teacher in teachers):
        return [_NO_CHOICE] * len(passages)
    found = []
    for part in _parts(len(passages)):
        candidates: list[list[_Candidate]] = [[] for _ in passages[part]]
        for number, teacher in enumerate(teachers):
            for of_row, best in zip(candidates, _best_spans(teacher, part, number), strict=True):
                of_row += best
        for row, of_row in zip(range(len(passages))[part], candidates, strict=True):
            # A teacher's own order stays, and the first teacher goes before another that is as sure.
            ranked = sorted(of_row, key=lambda candidate: -candidate.log_prob)
            found.append(_choose(ranked, teachers, passages[row], row, language))
    return found


def _best_spans(teacher: _Teacher, part: slice, number: int) -> Iterator[list[_Candidate]]:
    columns = ("top_starts", "top_ends", "top_log_probs")
    batch = teacher.cache.batch(teacher.positions[part], columns)
    values = (batch[name] for name in columns)
    for starts, ends, log_probs, length in zip(*values, batch["span_length"], strict=True):
        spans = zip(starts[:length].tolist(), ends[:length].tolist(), strict=True)
        yield [
            _Candidate(log_prob, number, span)
            for span, log_prob in zip(spans, log_probs[:length].tolist(), strict=True)
        ]


def _choose(
    ranked: Sequence[_Candidate], teachers: Sequence[_Teacher], passage: Passage, row: int, language: str
) -> _Choice:
    place = confusing_span(
        (
            span_characters(*candidate.span, teachers[candidate.teacher].offsets.row(row).reshape(-1, 2))
            for candidate in ranked
        ),
        passage.text,
        # Of answers in free text, also the span that stands for them.
        (*passage.gold_texts, *(answer.text for answer in passage.answers)),
        language=language,
    )
    if place is None:
        return _NO_CHOICE
    span = _mapped(ranked[place].span, teachers[ranked[place].teacher].maps, row)
    return _NO_CHOICE if span == NO_SPAN else _Choice(span, ranked[place].teacher)


def _mapped(span: tuple[int, int], maps: TokenMaps, row: int) -> tuple[int, int]:
    first, last = int(maps.start.row(row)[span[0]]), int(maps.end.row(row)[span[1]])
    return (first, last) if LOST not in (first, last) else NO_SPAN


def _row_of_values(column: Ragged) -> NDArray[np.int64]:
    return np.repeat(np.arange(len(column)), np.diff(column.offsets))


def _softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    wide = logits.astype(np.float64)
    exps = np.exp(wide - wide.max())
    probs: NDArray[np.float64] = exps / exps.sum()
    return probs


def _parts(count: int) -> Iterator[slice]:
    return (slice(start, start + _CHUNK) for start in range(0, count, _CHUNK))
