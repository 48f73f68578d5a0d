"""Official scores of a reader, or of several as one, over evaluation sets, with size and speed."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import fingerprint
from pipeline.cache.arrow import ArrowBackend
from pipeline.errors import DataError, MismatchError
from pipeline.evaluation.ensemble import EnsembleJudge, together
from pipeline.evaluation.judge import Judge, Member, open_judge
from pipeline.evaluation.reader import predict_all
from pipeline.evaluation.rows import EvaluationSet, stored_rows
from pipeline.evaluation.speed import size, speed
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

    Returns:
        What metrics.json holds.

    Raises:
        ModelError: The model cannot be loaded.
        DataError: There are no inputs, or they are damaged.
        MismatchError: The inputs were made with another tokenizer than the model's.
    """
    described = _described(Folders(model, inputs))
    return _measure(
        out,
        name,
        kind,
        _judges(model, described, max_answer_tokens),
        {key: open_set(inputs, key, entry) for key, entry in described["sets"].items()},
        {
            "language": described["language"],
            "max_answer_tokens": max_answer_tokens,
            "model": {"weights": fingerprint.weights(model), "tokenizer": fingerprint.tokenizer(model)},
        },
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
    max_answer_tokens: int,
    latency_rows: int,
    speed_rows: int,
) -> dict[str, Any]:
    """Score the mean of several models' probabilities, as `evaluate` scores one model.

    Its size is that of all members together; its speed is measured with all of them reading.

    Args:
        out: As of `evaluate`.
        name: The ensemble's name in reports.
        members: Each by its name.
        sets: The evaluation sets, each of which was bound for every member.
        weights: What each member counts; all alike if None.
        max_answer_tokens: As of `evaluate`, like all that follow.
        latency_rows: Rows read one by one.
        speed_rows: Rows read in batches.

    Raises:
        MismatchError: As of `evaluate`; or members read other passages, or say what has no mean.
    """
    described = {member: _described(folders) for member, folders in members.items()}
    facts = {
        "language": next(iter(described.values()))["language"],
        "max_answer_tokens": max_answer_tokens,
        "weights": list(weights or [1.0] * len(members)),
        "members": {
            member: {
                "weights": fingerprint.weights(folders.model),
                "tokenizer": fingerprint.tokenizer(folders.model),
            }
            for member, folders in members.items()
        },
    }
    judges = {
        member: _judges(folders.model, described[member], max_answer_tokens)
        for member, folders in members.items()
    }
    shares = np.array(facts["weights"]) / sum(facts["weights"])
    opened = {}
    for key in sets:
        own = {
            member: open_set(folders.inputs, key, described[member]["sets"][key])
            for member, folders in members.items()
        }
        opened[key] = together(key, {member: judges[member][key] for member in members}, own)
    return _measure(
        out,
        name,
        "ensemble",
        {
            key: EnsembleJudge(tuple(judges[member][key] for member in members), tuple(shares.tolist()))
            for key in sets
        },
        opened,
        facts,
        latency_rows=latency_rows,
        speed_rows=speed_rows,
    )


def _described(folders: Folders) -> dict[str, Any]:
    """What bind says of evaluation inputs, which are for this model."""
    path = folders.inputs / "inputs.json"
    described: dict[str, Any] = read_json(path, what="the description of evaluation inputs")
    _check_tokenizer(folders.inputs, described, folders.model)
    return described


def _measure(
    out: Path,
    name: str,
    kind: str,
    judges: Mapping[str, Judge],
    sets: Mapping[str, EvaluationSet],
    facts: Mapping[str, Any],
    *,
    training_log: Path | None = None,
    latency_rows: int,
    speed_rows: int,
) -> dict[str, Any]:
    """Predict and score the sets, measure size and speed, and write all of it."""
    judge = next(iter(judges.values()))
    every_row = [row for opened in sets.values() for row in opened.rows]
    results: dict[str, Any] = {}
    with new_folder(out) as temporary:
        (temporary / PREDICTIONS).mkdir()
        with track(len(every_row), f"evaluate {name}") as advance:
            for key, opened in sets.items():
                said = predict_all(judges[key].predict, opened.rows, advance=advance)
                rows, results[key] = judges[key].score(opened.passages, said)
                write_json(temporary / PREDICTIONS / f"{key}.json", rows)
        metrics = {
            "name": name,
            "kind": kind,
            "sets": results,
            "size": size(judge.models),
            "speed": speed(
                judge.predict,
                every_row,
                judge.device,
                latency_rows=latency_rows,
                speed_rows=speed_rows,
            )
            if every_row
            else None,
            **facts,
        }
        write_json(temporary / METRICS_FILE, metrics)
        if training_log is not None and training_log.is_file():
            shutil.copyfile(training_log, temporary / TRAINING_LOG)
    return metrics


def _judges(model: Path, described: Mapping[str, Any], max_answer_tokens: int) -> dict[str, Member]:
    """The judge of each set; the first one where there is no set. A model with one head has one judge."""
    sets: Mapping[str, Mapping[str, Any]] = described["sets"]
    if not any("heads" in entry for entry in sets.values()):
        judge = open_judge(model, described, max_answer_tokens=max_answer_tokens)
        return dict.fromkeys(sets or ("",), judge)
    return {
        key: open_judge(model, {**described, **entry}, max_answer_tokens=max_answer_tokens)
        for key, entry in sets.items()
    }


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
