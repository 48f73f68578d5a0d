"""Official scores of a reader, or of several as one, over evaluation sets, with size and speed."""

import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import fingerprint
from pipeline.cache.arrow import ArrowBackend
from pipeline.errors import DataError, MismatchError
from pipeline.evaluation.ensemble import EnsembleJudge, together
from pipeline.evaluation.free_text import free_text_scores
from pipeline.evaluation.judge import Judge, Member, open_judge
from pipeline.evaluation.reader import predict_all
from pipeline.evaluation.rows import EvaluationSet, stored_rows
from pipeline.evaluation.speed import size, speed
from pipeline.evaluation.variants import worst_variants
from pipeline.files import new_folder, read_json, write_json
from pipeline.progress import track
from pipeline.schema import Passage
from pipeline.tables import read_rows

METRICS_FILE = "metrics.json"
PREDICTIONS = "predictions"
TRAINING_LOG = "training_log.jsonl"


@dataclass(frozen=True)
class Folders:
    """A finished model, and what bind wrote for its evaluation."""

    model: Path
    inputs: Path


@dataclass(frozen=True)
class Evaluation:
    """A model, or several as one, opened, and the sets to be scored on."""

    language: str
    judges: Mapping[str, Judge]
    sets: Mapping[str, EvaluationSet]

    @classmethod
    def open(cls, model: Path, inputs: Path, **limits: Any) -> "Evaluation":
        """The model in a folder, and what bind wrote for its evaluation; `limits` are as of `open_judge`.

        Raises:
            ModelError: The model cannot be loaded.
            DataError: There are no inputs, or they are damaged.
            MismatchError: The inputs were made with another tokenizer than the model's.
        """
        described = read_json(inputs / "inputs.json", what="the description of evaluation inputs")
        _check_tokenizer(inputs, described, model)
        judges = _judges(model, described, **limits)
        sets = {key: open_set(inputs, key, entry) for key, entry in described["sets"].items()}
        return cls(described["language"], judges, sets)

    @classmethod
    def of_ensemble(
        cls, members: Mapping[str, Folders], keys: Sequence[str], weights: Sequence[float], **limits: Any
    ) -> "Evaluation":
        """Several models as one, on sets that were bound for each of them; `limits` are as of `open_judge`.

        Raises:
            ModelError: As of `open`, like DataError.
            MismatchError: As of `open`; or members read other passages, or say what has no mean.
        """
        opened = {
            name: cls.open(folders.model, folders.inputs, **limits) for name, folders in members.items()
        }
        shares = tuple(weight / sum(weights) for weight in weights)
        judges, sets = {}, {}
        for key in keys:
            of_each: dict[str, Any] = {name: one.judges[key] for name, one in opened.items()}
            judges[key] = EnsembleJudge(tuple(of_each.values()), shares)
            sets[key] = together(key, of_each, {name: one.sets[key] for name, one in opened.items()})
        return cls(next(iter(opened.values())).language, judges, sets)

    @property
    def judge(self) -> Judge:
        """That of the first set."""
        return next(iter(self.judges.values()))

    @property
    def every_row(self) -> list[Any]:
        """The rows of all sets."""
        return [row for opened in self.sets.values() for row in opened.rows]

    def size(self) -> dict[str, Any]:
        """Of all models together."""
        return size(self.judge.models)

    def speed(self, *, latency_rows: int, speed_rows: int) -> dict[str, Any]:
        """Over all sets together, of which there must be one."""
        judge = self.judge
        return speed(
            judge.predict, self.every_row, judge.device, latency_rows=latency_rows, speed_rows=speed_rows
        )


def evaluate(
    out: Path,
    *,
    name: str,
    kind: str,
    model: Path,
    inputs: Path,
    max_answer_tokens: int,
    latency_rows: int,
    speed_rows: int,
    null_score_diff_threshold: float = 0.0,
    free_text: Collection[str] = (),
    variants: Collection[str] = (),
) -> dict[str, Any]:
    """Score the model over every evaluation set of its inputs.

    A question that the model gives no answer to scores 0. A row without a gold label is predicted and
    counted, but stands outside the scores. Size and speed are measured over all sets together; without any
    set there is no speed. The log of the model's training goes along, so that a report needs scores only.

    Args:
        out: Will hold metrics.json, the predictions of each set and the training log.
        name: The reader's name in reports.
        kind: "student" or "teacher".
        model: Its model folder.
        inputs: What bind wrote for its evaluation.
        max_answer_tokens: The longest answer.
        latency_rows: Rows read one by one to measure latency.
        speed_rows: Rows read in batches to measure rows a second.
        null_score_diff_threshold: Where some questions of a set have no answer, by how much the logits of
            none must exceed those of the best span for that to be the prediction.
        free_text: The data sets whose gold answers are free text, which has scores of its own.
        variants: The data sets whose questions stand in variants, scored by the worst of each too.

    Returns:
        What metrics.json holds.

    Raises:
        PipelineError: As of `Evaluation.open`.
    """
    opened = Evaluation.open(
        model,
        inputs,
        max_answer_tokens=max_answer_tokens,
        null_score_diff_threshold=null_score_diff_threshold,
    )
    facts = {
        "max_answer_tokens": max_answer_tokens,
        "null_score_diff_threshold": null_score_diff_threshold,
        "model": _identity(model),
    }
    return _scored(
        out,
        opened,
        {"name": name, "kind": kind},
        facts,
        free_text=free_text,
        variants=variants,
        training_log=model / TRAINING_LOG,
        latency_rows=latency_rows,
        speed_rows=speed_rows,
    )


def evaluate_ensemble(
    out: Path,
    *,
    name: str,
    members: Mapping[str, Folders],
    sets: Sequence[str],
    weights: Sequence[float] | None = None,
    latency_rows: int,
    speed_rows: int,
    free_text: Collection[str] = (),
    variants: Collection[str] = (),
    **limits: Any,
) -> dict[str, Any]:
    """Score the mean of several models' probabilities, as `evaluate` scores one model.

    Its size is that of all members together; its speed is measured with all of them reading.

    Args:
        out: As of `evaluate`.
        name: The ensemble's name in reports.
        members: Each by its name.
        sets: The evaluation sets, each of which was bound for every member.
        weights: What each member counts; all alike if None.
        latency_rows: Rows read one by one to measure latency.
        speed_rows: Rows read in batches to measure rows a second.
        free_text: As of `evaluate`, like `variants`.
        variants: See there.
        limits: As of `open_judge`.

    Raises:
        PipelineError: As of `Evaluation.of_ensemble`.
    """
    counted = list(weights or [1.0] * len(members))
    opened = Evaluation.of_ensemble(members, sets, counted, **limits)
    facts = {
        **limits,
        "weights": counted,
        "members": {member: _identity(folders.model) for member, folders in members.items()},
    }
    return _scored(
        out,
        opened,
        {"name": name, "kind": "ensemble"},
        facts,
        free_text=free_text,
        variants=variants,
        latency_rows=latency_rows,
        speed_rows=speed_rows,
    )


def _scored(
    out: Path,
    opened: Evaluation,
    named: Mapping[str, str],
    facts: Mapping[str, Any],
    *,
    free_text: Collection[str],
    variants: Collection[str],
    training_log: Path | None = None,
    **counts: int,
) -> dict[str, Any]:
    """Predict and score all sets, measure size and speed, and write all of it."""
    results: dict[str, Any] = {}
    with new_folder(out) as temporary:
        (temporary / PREDICTIONS).mkdir()
        with track(len(opened.every_row), f"evaluate {named['name']}") as advance:
            for key, part in opened.sets.items():
                said = predict_all(opened.judges[key].predict, part.rows, advance=advance)
                rows, results[key] = opened.judges[key].score(part.passages, said)
                if key.partition(".")[0] in free_text:
                    results[key] |= free_text_scores(rows, opened.language)
                if key.partition(".")[0] in variants:
                    results[key] |= worst_variants(rows)
                write_json(temporary / PREDICTIONS / f"{key}.json", rows)
        metrics = {
            **named,
            "language": opened.language,
            "sets": results,
            "size": opened.size(),
            "speed": opened.speed(**counts) if opened.every_row else None,
            **facts,
        }
        write_json(temporary / METRICS_FILE, metrics)
        if training_log is not None and training_log.is_file():
            shutil.copyfile(training_log, temporary / TRAINING_LOG)
    return metrics


def _identity(model: Path) -> dict[str, str]:
    return {"weights": fingerprint.weights(model), "tokenizer": fingerprint.tokenizer(model)}


def _judges(model: Path, described: Mapping[str, Any], **limits: Any) -> dict[str, Member]:
    """The judge of each set, one for all where none is about classes of its own, or where there is no set."""
    sets: Mapping[str, Mapping[str, Any]] = described["sets"]
    if not any("classes" in entry for entry in sets.values()):
        judge = open_judge(model, described, **limits)
        return dict.fromkeys(sets or ("",), judge)
    return {key: open_judge(model, {**described, **entry}, **limits) for key, entry in sets.items()}


def _check_tokenizer(inputs: Path, described: Mapping[str, Any], model: Path) -> None:
    held = fingerprint.tokenizer(model)
    if described["tokenizer"] != held:
        raise MismatchError(
            inputs,
            expected=f"inputs made with the model's tokenizer {held[:8]}",
            got=f"tokenizer {described['tokenizer'][:8]}",
            remedy="run bind again, then evaluate",
        )


def open_set(inputs: Path, name: str, entry: Mapping[str, Any]) -> EvaluationSet:
    """The set called `name` in a folder that `bind` wrote, where `entry` describes it.

    Raises:
        DataError: Its rows are not those of its passages.
    """
    columns, _ = ArrowBackend().open(inputs / entry["file"])
    opened = EvaluationSet(read_rows(inputs / entry["passages"], Passage), stored_rows(columns))
    if len(opened.passages) != len(opened.rows):
        raise DataError(
            inputs / entry["file"],
            expected=f"{len(opened.passages)} rows, one a passage of {name}",
            got=str(len(opened.rows)),
            remedy="run bind again",
        )
    return opened
