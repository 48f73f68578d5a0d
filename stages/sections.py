"""The frozen, strict models of the sections of params.yaml."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from pipeline.cache.mix import MEAN_LOGITS, MEAN_PROBABILITIES
from pipeline.objectives.declarations import POOLING, SENTENCE_COS
from pipeline.objectives.needs import is_headless
from pipeline.tasks import SENTENCE, SPAN

NAME = re.compile(r"[a-z0-9_]+")

PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
Split = Annotated[str, Field(pattern=r"^[A-Za-z0-9_\-]+$")]
EvaluationSet = Annotated[str, Field(pattern=r"^[a-z0-9_]+\.[A-Za-z0-9_\-]+$")]


class Section(BaseModel):
    """What all sections share: unknown keys and wrong types are errors."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Dataset(Section):
    """One entry of `datasets`: raw files and how to read them. Files are relative to `folder`."""

    reader: str
    language: Literal["en", "zh"]
    folder: str
    task: str = SPAN
    keep_impossible: bool = False
    files: dict[Split, str | Annotated[list[str], Field(min_length=1)]] = {}
    options: dict[str, Any] = {}


class Selection(Section):
    """One entry of `selection`: how contexts are shortened to what a teacher can read."""

    method: str = "tfidf"
    tokenizer: str
    max_tokens: PositiveInt
    max_question_tokens: PositiveInt = 40
    top_sentences: PositiveInt = 10
    idf: Literal["row", "corpus"] = "row"
    stride: NonNegativeInt | None = None
    options: dict[str, Any] = {}


class Augmentation(Section):
    """One entry of `augmentations`: a data set that is made out of another."""

    dataset: str
    splits: Annotated[list[Split], Field(min_length=1)]
    method: str = "tang2019"
    times: PositiveInt = 10
    max_rows: PositiveInt | None = None
    seed: int = 0
    sides: Literal["first", "second", "both", "cycle"] = "cycle"
    labels: Literal["drop", "keep"] = "drop"
    options: dict[str, Any] = {}


class TeacherTraining(Section):
    """Fine-tuning of a teacher: the data, and TrainingArguments names beside it."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow")

    dataset: str
    split: Split = "train"
    seed: int = 0

    @property
    def arguments(self) -> dict[str, Any]:
        """The TrainingArguments among the keys."""
        return dict(self.model_extra or {})


class Teacher(Section):
    """One entry of `teachers`: a checkpoint (`from`) or a fresh shape, fine-tuned or as it is."""

    task: str = SPAN
    model: dict[str, Any]
    tokenizer: str | None = None
    train: TeacherTraining | None = None
    evaluate: list[EvaluationSet] = []
    pooling: Literal["first", "mean", "pooler"] = "first"

    @property
    def vector(self) -> dict[str, Any]:
        """What a sentence's vector is made of, where that is what it gives."""
        return {"pooling": self.pooling, "layer": -1} if self.task == SENTENCE else {}


class TargetSet(Section):
    """One entry of `targets`: what one teacher says about one data set."""

    teacher: str
    dataset: str
    splits: Annotated[list[Split], Field(min_length=1)]
    backend: str = "arrow"
    fields: Annotated[dict[str, dict[str, Any]], Field(min_length=1)]
    autocast: Literal["float32", "bfloat16", "float16"] = "float32"
    batch_tokens: PositiveInt = 4096
    shard_rows: PositiveInt | None = None
    budget_gb: Annotated[float, Field(gt=0, strict=False)] | None = None


class Mix(Section):
    """Several target sets as one: the mean of what they say."""

    mean_logits: list[str] | None = None
    mean_probabilities: list[str] | None = None
    weights: list[float] | None = None

    @property
    def mean(self) -> str:
        """Which mean it is."""
        return MEAN_LOGITS if self.mean_logits is not None else MEAN_PROBABILITIES

    @property
    def members(self) -> list[str]:
        """The target sets that are averaged."""
        return self.mean_logits or self.mean_probabilities or []


class Merge(Mix):
    """One entry of `merges`: a target set of its own, made once out of others."""

    dataset: str
    splits: Annotated[list[Split], Field(min_length=1)]
    backend: str = "arrow"
    fields: Annotated[dict[str, dict[str, Any]], Field(min_length=1)]
    budget_gb: Annotated[float, Field(gt=0, strict=False)] | None = None


class VectorTraining(Section):
    """Word vectors trained on the tokenizer's own text."""

    dimensions: PositiveInt
    epochs: PositiveInt = 5
    seed: int = 0


class Vectors(Section):
    """Word vectors: from a file, or trained."""

    file: str | None = None
    train: VectorTraining | None = None


class Tokenizer(Section):
    """One entry of `tokenizers`."""

    kind: Literal["words", "characters", "pretrained"]
    text: list[str] = []
    from_: Annotated[str | None, Field(alias="from")] = None
    min_frequency: PositiveInt = 1
    max_words: PositiveInt | None = None
    lowercase: bool = True
    cls_token: bool = False
    vectors: Vectors | None = None


# Tags stand in the paths of pydantic's errors, from which they are taken out again.
WORD, MIX, DRAWING = "(word)", "(mix)", "(drawing)"


def _word_or(tag: str) -> Discriminator:
    """Tells a text from a section."""
    return Discriminator(lambda value: tag if isinstance(value, Mapping | Section) else WORD)


def _check_amount(value: Any) -> Any:
    is_whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    if not is_whole and not (isinstance(value, float) and 0 < value <= 1):
        raise ValueError("expected a whole number from 1, or a share from above 0 to 1.0")
    return value


# So many examples, or such a share of them.
Amount = Annotated[int | float, BeforeValidator(_check_amount)]


class Source(Section):
    """What a phase reads: a split, or a share of it, and target sets, or mixes of them, by alias.

    `seed` decides which `rows` of the split are read, and which of them keep their gold labels (`labelled`).
    """

    dataset: str
    split: Split
    rows: Amount | None = None
    labelled: Amount | None = None
    seed: int = 0
    targets: dict[str, Annotated[Annotated[str, Tag(WORD)] | Annotated[Mix, Tag(MIX)], _word_or(MIX)]] = {}

    @property
    def name(self) -> str:
        """As terms name it."""
        return f"{self.dataset}.{self.split}"


class Drawing(Section):
    """Each batch is of one source, drawn in proportion to (its number of batches)^tau."""

    tau: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Phase(Section):
    """One run of the trainer over its sources."""

    name: Annotated[str, Field(pattern=rf"^{NAME.pattern}$")] | None = None
    sources: Annotated[list[Source], Field(min_length=1)]
    mixing: Annotated[
        Annotated[Literal["concatenate"], Tag(WORD)] | Annotated[Drawing, Tag(DRAWING)], _word_or(DRAWING)
    ] = "concatenate"
    terms: Annotated[list[dict[str, Any]], Field(min_length=1)]
    training: dict[str, Any]

    @property
    def tau(self) -> float | None:
        """How a source is drawn for each batch; None where all rows are in one order."""
        return None if isinstance(self.mixing, str) else self.mixing.tau


class Head(Section):
    """One head of a student: whose rows it is about, in the classes of these data sets.

    `outputs: 1` makes it a score of the second of two classes.
    """

    datasets: Annotated[list[str], Field(min_length=1)]
    outputs: Literal[1] | None = None


class Heads(Section):
    """The part of a student's model that is no option of its architecture."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    heads: dict[Annotated[str, Field(pattern=rf"^{NAME.pattern}$")], Head] = {}


def _check_heads(model: dict[str, Any]) -> dict[str, Any]:
    Heads.model_validate(model)
    return model


class Student(Section):
    """One entry of `students`."""

    model: Annotated[dict[str, Any], AfterValidator(_check_heads)]
    tokenizer: str
    phases: Annotated[list[Phase], Field(min_length=1)]
    evaluate: list[EvaluationSet] = []

    @property
    def heads(self) -> dict[str, Head]:
        """Its heads by name; none where it has one output."""
        return Heads.model_validate(self.model).heads

    @property
    def task(self) -> str:
        """What it is asked about a row: what its terms are about."""
        terms = [term for phase in self.phases for term in phase.terms if not is_headless(term)]
        return str(terms[0].get("student", SPAN)) if terms else SPAN

    @property
    def vector(self) -> dict[str, Any]:
        """What a sentence's vector is made of: what the last term that compares vectors reads."""
        terms = [term for phase in self.phases for term in phase.terms if term.get("loss") == SENTENCE_COS]
        if not terms:
            return {}
        last = terms[-1]
        return {
            "pooling": last.get("student_pooling", POOLING.default),
            "layer": last.get("student_layer", -1),
        }

    @property
    def sets(self) -> list[str]:
        """The target sets that its sources name, each once."""
        named = (
            target
            for phase in self.phases
            for source in phase.sources
            for targets in source.targets.values()
            for target in sets_of(targets)
        )
        return list(dict.fromkeys(named))

    @property
    def development(self) -> list[str]:
        """The sets that it is scored on while it trains, each once."""
        named = (phase.training["eval_set"] for phase in self.phases if "eval_set" in phase.training)
        return list(dict.fromkeys(named))

    @property
    def trained_by(self) -> dict[str, Any]:
        """What it is made of and how it is trained, as params write it: all that may name code."""
        return self.model_dump(include={"model", "phases"})


def sets_of(targets: str | Mix) -> list[str]:
    """The target sets behind an alias."""
    return [targets] if isinstance(targets, str) else targets.members


def head_tasks(student: Student, datasets: Mapping[str, Dataset]) -> dict[str, str]:
    """The task of each of a student's heads: that of its data sets; of spans, where these are unknown."""
    return {
        name: next((datasets[dataset].task for dataset in head.datasets if dataset in datasets), SPAN)
        for name, head in student.heads.items()
    }


class Ensemble(Section):
    """One entry of `ensembles`: students and teachers that are scored as one."""

    mean_probabilities: Annotated[list[str], Field(min_length=2)]
    weights: list[float] | None = None
    evaluate: Annotated[list[EvaluationSet], Field(min_length=1)]


class WarmStart(Section):
    """One entry of `warm_starts`: the student whose finished weights the student of this name starts from."""

    student: str


def made_datasets(
    datasets: Mapping[str, Dataset], augmentations: Mapping[str, Augmentation]
) -> dict[str, Dataset]:
    """The data sets that are made out of others: all as of those, but for their splits."""
    return {
        name: datasets[made.dataset].model_copy(update={"files": {split: split for split in made.splits}})
        for name, made in augmentations.items()
        if made.dataset in datasets
    }


class Evaluation(Section):
    """How all readers are evaluated."""

    max_answer_tokens: PositiveInt = 30
    latency_rows: PositiveInt = 50
    speed_rows: PositiveInt = 320
    lost_mass_limit: Annotated[float, Field(ge=0, le=1, strict=False)] = 0.05
    null_score_diff_threshold: Annotated[float, Field(strict=False, allow_inf_nan=False)] = 0.0
    free_text: list[str] = []
    variants: list[str] = []


class Params(Section):
    """All of params.yaml."""

    datasets: dict[str, Dataset]  # those that are made are among them
    augmentations: dict[str, Augmentation] = {}
    selection: dict[str, Selection]
    teachers: dict[str, Teacher] = {}
    targets: dict[str, TargetSet] = {}
    merges: dict[str, Merge] = {}
    tokenizers: dict[str, Tokenizer]
    students: dict[str, Student] = {}
    ensembles: dict[str, Ensemble] = {}
    warm_starts: dict[str, WarmStart] = {}
    evaluation: Evaluation = Evaluation()

    def read_sets(self, target: str) -> list[str]:
        """The sets that teachers fill for the target set called `target`: itself, or those it merges."""
        return self.merges[target].members if target in self.merges else [target]

    def head_tasks(self, student: str) -> dict[str, str]:
        """The task of each of a student's heads, by its name; none where it has one output."""
        return head_tasks(self.students[student], self.datasets)

    def starts_of(self, student: str) -> list[str]:
        """The students that one starts from, the first to be trained first."""
        start = self.warm_starts.get(student)
        return [*self.starts_of(start.student), start.student] if start else []

    def teachers_of(self, student: str) -> list[str]:
        """The teachers that a student learns from, each once."""
        sets = (name for target in self.students[student].sets for name in self.read_sets(target))
        return list(dict.fromkeys(self.targets[name].teacher for name in sets))
