"""A student's bound training inputs, as training reads them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from pipeline.cache.arrow import ArrowBackend
from pipeline.cache.mix import Mix
from pipeline.cache.ragged import Ragged
from pipeline.errors import DataError
from pipeline.files import read_json
from pipeline.tasks import SPAN

DESCRIPTION = "inputs.json"
INITIAL_WEIGHTS = "initial.safetensors"


class BoundTargets(TypedDict):
    """What a source reads of one target set, and the identity that the set must have.

    `options` are those of its fields. `equal_tokens` says whether the teacher cuts every row into the
    student's tokens. `lost` is the share of the teacher's start and end mass that fell on no token of the
    student, empty where no logits are read; `confusing_rows` counts the rows whose confusing answer is this
    teacher's.
    """

    set: str
    columns: list[str]
    fields: list[str]
    identity: dict[str, str]
    options: dict[str, dict[str, Any]]
    equal_tokens: bool
    lost: dict[str, float]
    confusing_rows: int


class BoundMix(TypedDict):
    """How a source's target sets become one: those called `<alias>/0`, `<alias>/1`, ... of the mix `<alias>`.

    `mean` and `weights` are a `Mix`'s; `confusing_rows` counts the rows with a confusing answer, whichever
    member it comes from.
    """

    mean: str
    weights: list[float]
    confusing_rows: int


class BoundHead(TypedDict):
    """One of a student's heads.

    It answers for the rows of `datasets` what `task` asks, with an output for each of `classes`, or with
    `outputs` alone.
    """

    task: str
    datasets: list[str]
    classes: list[str]
    outputs: int | None


@dataclass(frozen=True)
class BoundSource:
    """The rows of one source of one phase.

    Args:
        phase: Ordinal of the phase.
        source: Ordinal of the source in its phase.
        dataset: Name of the data set.
        split: Its split.
        rows: How many passages.
        gold_rows: How many of them have a gold label.
        cut_rows: How many lost passage tokens to the student's length limit.
        path: The file of columns.
        targets: What is read of each target set, by alias.
        mixes: The aliases that stand for several of them.
        task: What is asked about the rows, where a student has heads for several tasks.
        left_out_rows: How many passages of the split a share leaves out.
        hidden_labels: How many of the rows had gold labels that a share takes away.
    """

    phase: int
    source: int
    dataset: str
    split: str
    rows: int
    gold_rows: int
    cut_rows: int
    path: Path
    targets: Mapping[str, BoundTargets]
    mixes: Mapping[str, BoundMix] = field(default_factory=dict)
    task: str | None = None
    left_out_rows: int = 0
    hidden_labels: int = 0

    @property
    def name(self) -> str:
        """As terms name it."""
        return f"{self.dataset}.{self.split}"

    def mix(self, alias: str) -> Mix | None:
        """How the target sets behind `alias` are averaged; None where it is one set, or none."""
        bound = self.mixes.get(alias)
        return Mix(bound["mean"], tuple(bound["weights"])) if bound else None

    def columns(self) -> dict[str, Ragged]:
        """The columns, mapped.

        Raises:
            DataError: The file holds another number of rows.
            DamagedError: The file is missing or cannot be read.
        """
        columns, _ = ArrowBackend().open(self.path)
        if len(columns["input_ids"]) != self.rows:
            raise DataError(
                self.path,
                expected=f"{self.rows} rows",
                got=str(len(columns["input_ids"])),
                remedy="run bind again",
            )
        return columns


@dataclass(frozen=True)
class Inputs:
    """A folder of bound training inputs.

    Args:
        folder: Where it is.
        name: The student's name.
        language: Of the text, "en" or "zh".
        tokenizer: Identity of the student's tokenizer.
        max_length: The most tokens a row has.
        sources: All sources of all phases.
        task: What the student is asked about a row.
        classes: The task's classes, in the order of the student's outputs.
        heads: The student's heads by name, where it has several.
        code: The modules outside the package that the student trains with, and their hashes.
        development: The sets that it is scored on while it trains, and the longest answer for that.
        vector: Of an encoder of sentences, what its vectors are made of.
    """

    folder: Path
    name: str
    language: str
    tokenizer: str
    max_length: int
    sources: tuple[BoundSource, ...]
    task: str = SPAN
    classes: Sequence[str] = ()
    heads: Mapping[str, BoundHead] = field(default_factory=dict)
    code: Mapping[str, str] = field(default_factory=dict)
    development: Mapping[str, Any] = field(default_factory=dict)
    vector: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path) -> "Inputs":
        """Read the description in `folder`.

        Raises:
            DataError: There is none, or it is not what `bind` writes.
        """
        path = folder / DESCRIPTION
        described = read_json(path, what="the description of a student's training inputs")
        try:
            sources = tuple(
                BoundSource(path=folder / entry.pop("file"), **entry) for entry in described.pop("sources")
            )
            return cls(folder=folder, sources=sources, **described)
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(
                path, expected="a description as bind writes it", got=str(error), remedy="run bind again"
            ) from error

    @property
    def head_tasks(self) -> dict[str, str]:
        """The task of each of the student's heads, by its name; none where it has one output."""
        return {name: head["task"] for name, head in self.heads.items()}

    @property
    def initial_weights(self) -> Path | None:
        """The teacher's layers that the student starts from, None where it starts afresh."""
        path = self.folder / INITIAL_WEIGHTS
        return path if path.is_file() else None
