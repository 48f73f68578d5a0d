"""Writing what a student or a teacher reads: bound training inputs and evaluation inputs.

The two lie in folders of their own, so that another evaluation set changes nothing that training depends on.
Neither holds a checksum of a cache: the same work repaired on other hardware binds to equal bytes.
"""

import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pipeline import fingerprint
from pipeline.binding.inputs import (
    DESCRIPTION,
    INITIAL_WEIGHTS,
    BoundHead,
    BoundMix,
    BoundSource,
    BoundTargets,
    Inputs,
)
from pipeline.binding.rows import ReaderRows, passages_path, reader_rows
from pipeline.binding.share import ALL, Share, is_labelled
from pipeline.binding.target_rows import TargetSet
from pipeline.binding.targets import MixedSets, bind_targets
from pipeline.cache.arrow import ArrowBackend
from pipeline.errors import DataError
from pipeline.files import new_folder, write_json
from pipeline.schema import Passage
from pipeline.tables import read_rows
from pipeline.tasks import SENTENCE, SPAN, TASKS
from pipeline.text.tokenizers import Encoder

# Beside a student's rows lies what it starts from, where that is another student.
TRAIN, EVALUATE = "train/rows", "evaluate"


@dataclass(frozen=True)
class Source:
    """One source of one phase.

    Args:
        phase: Ordinal of the phase.
        source: Ordinal of the source in its phase.
        passages: The folder of the data set's passages; its name is the data set's.
        split: The split to read.
        targets: The target sets that the phase's terms read, or several as one, by alias.
        share: How much of the split is read.
    """

    phase: int
    source: int
    passages: Path
    split: str
    targets: Mapping[str, TargetSet | MixedSets]
    share: Share = ALL


@dataclass(frozen=True)
class EvaluationSet:
    """One split to evaluate on: the folder of the data set's passages, and the split.

    `classes` are the data set's, where a reader with none of its own, an encoder, is scored on it.
    """

    passages: Path
    split: str
    classes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As params write it."""
        return f"{self.passages.name}.{self.split}"


@dataclass(frozen=True)
class _Reader:
    """Whoever reads the inputs: a tokenizer, its limits, a language."""

    name: str
    language: str
    encoder: Encoder
    max_length: int
    max_question_tokens: int
    task: str
    classes: tuple[str, ...]
    heads: Mapping[str, BoundHead]
    vector: Mapping[str, Any]

    def asked(self, dataset: str) -> tuple[str, tuple[str, ...]]:
        """What is asked about the rows of a data set, and in which classes."""
        for head in self.heads.values():
            if dataset in head["datasets"]:
                return head["task"], tuple(head["classes"])
        return self.task, self.classes

    def heads_for(self, dataset: str) -> list[str]:
        """The heads that answer it."""
        return [name for name, head in self.heads.items() if dataset in head["datasets"]]

    def rows(
        self,
        passages: Sequence[Passage],
        dataset: str,
        split: str,
        occurrences: Sequence[int] | None = None,
    ) -> ReaderRows:
        task, classes = self.asked(dataset)
        return reader_rows(
            passages,
            self.encoder,
            max_length=self.max_length,
            max_question_tokens=self.max_question_tokens,
            label=f"bind {self.name}: {dataset}.{split}",
            labels=TASKS[task].labels,
            classes=classes,
            occurrences=occurrences,
        )

    def described(self) -> dict[str, Any]:
        # Of spans nothing is said, so that their inputs stay as they are.
        own: dict[str, Any] = {} if self.task == SPAN else {"task": self.task, "classes": list(self.classes)}
        own |= {"vector": dict(self.vector)} if self.vector else {}
        return {
            "name": self.name,
            "language": self.language,
            "tokenizer": self.encoder.fingerprint,
            "max_length": self.max_length,
            **own,
        }


def bind(
    out: Path,
    *,
    name: str,
    language: str,
    tokenizer: Path,
    max_length: int,
    max_question_tokens: int,
    sources: Sequence[Source],
    evaluate: Sequence[EvaluationSet],
    lost_mass_limit: float,
    initial: Callable[[Path], object] | None = None,
    task: str = SPAN,
    classes: Sequence[str] = (),
    heads: Mapping[str, BoundHead] = MappingProxyType({}),
    code: Mapping[str, str] = MappingProxyType({}),
    development: Sequence[EvaluationSet] = (),
    max_answer_tokens: int | None = None,
    null_score_diff_threshold: float = 0.0,
    free_text: Collection[str] = (),
    vector: Mapping[str, Any] = MappingProxyType({}),
    check: Callable[[Sequence[BoundSource]], object] | None = None,
) -> Inputs | None:
    """Write `out`/train/rows, where there are sources, and `out`/evaluate.

    Args:
        out: Will hold the two folders; each is written whole or not at all.
        name: The reader's name.
        language: Of the text, "en" or "zh".
        tokenizer: The reader's tokenizer folder.
        max_length: The most tokens a row may have; passages are cut at their end.
        max_question_tokens: The most tokens a question may have.
        sources: What a student trains on. A teacher has none: it is evaluated only.
        evaluate: What it is evaluated on.
        lost_mass_limit: The most of a teacher's mass, as a mean over a source's rows, that may fall on no
            token of the student.
        initial: Writes the weights that the student starts from to the path it is given.
        task: What is asked about a row.
        classes: The task's classes, in the order of the reader's outputs.
        heads: The reader's heads by name, where it has several; each data set must be one of theirs.
        code: The modules outside the package that it trains with, and their hashes.
        development: What it is scored on while it trains.
        max_answer_tokens: The longest answer, for that.
        null_score_diff_threshold: When a question is taken to have none, for that; as of `evaluate`.
        free_text: The data sets whose gold answers are free text, for that.
        vector: Of an encoder of sentences, `pooling` and `layer` of its vectors.
        check: Raises where what was bound will not do; nothing is left of it then.

    Returns:
        What training will read.

    Raises:
        ModelError: The tokenizer cannot be used.
        DataError: Passages are missing or empty, or too much mass is lost.
        CacheError: A cache cannot be trusted or lacks rows or fields.
    """
    encoder = Encoder.open(tokenizer)
    reader = _Reader(
        name, language, encoder, max_length, max_question_tokens, task, tuple(classes), heads, vector
    )
    if sources:
        with new_folder(out / TRAIN) as folder:
            entries = [_bind_source(source, reader, folder, lost_mass_limit) for source in sources]
            if initial is not None:
                initial(folder / INITIAL_WEIGHTS)
            own: dict[str, Any] = {"code": dict(code)} if code else {}
            if development:
                sets = {watched.name: _bind_evaluation(watched, reader, folder) for watched in development}
                watched_texts = {watched.passages.name for watched in development} & set(free_text)
                own["development"] = {
                    "max_answer_tokens": max_answer_tokens,
                    "null_score_diff_threshold": null_score_diff_threshold,
                    "sets": sets,
                    **({"free_text": sorted(watched_texts)} if watched_texts else {}),
                }
            own |= {"heads": dict(heads)} if heads else {}
            write_json(folder / DESCRIPTION, {**reader.described(), **own, "sources": entries})
            if check is not None:
                check(Inputs.open(folder).sources)
    with new_folder(out / EVALUATE) as folder:
        sets = {evaluation.name: _bind_evaluation(evaluation, reader, folder) for evaluation in evaluate}
        write_json(folder / DESCRIPTION, {**reader.described(), "sets": sets})
    return Inputs.open(out / TRAIN) if sources else None


def _bind_source(source: Source, reader: _Reader, folder: Path, lost_mass_limit: float) -> dict[str, Any]:
    every = _passages(source.passages, source.split)
    where = f"{source.passages.name}.{source.split}"
    kept = source.share.kept(every, where)
    full = [every[at] for at in kept]
    passages = source.share.shown(full, where)
    occurrences = None if source.share == ALL else _occurrences(every, kept)
    rows = reader.rows(passages, source.passages.name, source.split, occurrences)
    task, classes = reader.asked(source.passages.name)
    columns = dict(rows.columns)
    described: dict[str, BoundTargets] = {}
    mixes: dict[str, BoundMix] = {}
    for alias, targets in source.targets.items():
        bound = bind_targets(
            alias,
            targets,
            rows,
            passages,
            language=reader.language,
            lost_mass_limit=lost_mass_limit,
            task=task,
            num_classes=len(classes) or None,
        )
        columns |= bound.columns
        described |= bound.described
        mixes |= bound.mixes
    file = f"{source.phase}-{source.source}.arrow"
    ArrowBackend().write(folder / file, columns, {})
    return {
        "phase": source.phase,
        "source": source.source,
        "dataset": source.passages.name,
        "split": source.split,
        "rows": len(passages),
        "gold_rows": rows.gold_rows,
        "cut_rows": rows.cut_rows,
        "file": file,
        "targets": described,
        "mixes": mixes,
        **({"task": task} if reader.heads else {}),
        **_left_out(source.share, len(every) - len(full), full, passages),
    }


def _occurrences(passages: Sequence[Passage], kept: Sequence[int]) -> list[int]:
    """Of equal rows each stays the occurrence that it is in the split, whether or not the others are read."""
    counted = fingerprint.occurrences([fingerprint.input_hash(row.question, row.text) for row in passages])
    return [counted[at] for at in kept]


def _left_out(
    share: Share, left_out: int, full: Sequence[Passage], shown: Sequence[Passage]
) -> dict[str, int]:
    """What a share takes away; nothing is said where none was asked for."""
    hidden = sum(is_labelled(had) and not is_labelled(has) for had, has in zip(full, shown, strict=True))
    return {} if share == ALL else {"left_out_rows": left_out, "hidden_labels": hidden}


def _bind_evaluation(evaluation: EvaluationSet, reader: _Reader, folder: Path) -> dict[str, Any]:
    passages = _passages(evaluation.passages, evaluation.split)
    dataset = evaluation.passages.name
    rows = reader.rows(passages, dataset, evaluation.split)
    file, table = f"{evaluation.name}.arrow", f"{evaluation.name}.passages.arrow"
    ArrowBackend().write(folder / file, rows.columns, {})
    shutil.copyfile(passages_path(evaluation.passages, evaluation.split), folder / table)
    entry = {"rows": len(passages), "cut_rows": rows.cut_rows, "file": file, "passages": table}
    if reader.task == SENTENCE and any(passage.labels is not None for passage in passages):
        _check_pairs(passages, passages_path(evaluation.passages, evaluation.split))
        return {**entry, "classes": list(evaluation.classes)}
    if not reader.heads:
        return entry
    task, classes = reader.asked(dataset)
    return {**entry, "task": task, "classes": list(classes), "heads": reader.heads_for(dataset)}


def _check_pairs(passages: Sequence[Passage], path: Path) -> None:
    """Vectors are scored by what is said of two texts."""
    single = sum(not passage.question for passage in passages)
    if single:
        raise DataError(
            path,
            expected="labelled pairs of texts, whose vectors are compared",
            got=f"one text alone in {single:,} of {len(passages):,} rows",
            remedy="evaluate an encoder on pairs, or train it for this task",
        )


def _passages(folder: Path, split: str) -> list[Passage]:
    path = passages_path(folder, split)
    passages = read_rows(path, Passage)
    if not passages:
        raise DataError(path, expected="passages", got="none", remedy="see the rejects of the data set")
    return passages
