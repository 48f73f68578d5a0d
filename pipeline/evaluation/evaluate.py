"""Official scores of one reader over its evaluation sets, with its size and speed."""

import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import fingerprint
from pipeline.cache.arrow import ArrowBackend
from pipeline.errors import DataError, MismatchError
from pipeline.evaluation.free_text import free_text_scores
from pipeline.evaluation.judge import Judge, open_judge
from pipeline.evaluation.rows import TokenRow, stored_rows
from pipeline.evaluation.speed import size, speed
from pipeline.files import new_folder, read_json, write_json
from pipeline.progress import track
from pipeline.schema import Passage
from pipeline.tables import read_rows

METRICS_FILE = "metrics.json"
PREDICTIONS = "predictions"
TRAINING_LOG = "training_log.jsonl"


@dataclass(frozen=True)
class EvaluationSet:
    """The passages of one set, and how the model's tokenizer reads them."""

    passages: list[Passage]
    rows: list[TokenRow]


@dataclass(frozen=True)
class Evaluation:
    """A model, opened, and the sets that it is to be scored on."""

    described: Mapping[str, Any]
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
        return cls(
            described, judges, {key: open_set(inputs, key, entry) for key, entry in described["sets"].items()}
        )

    @property
    def judge(self) -> Judge:
        """That of the first set."""
        return next(iter(self.judges.values()))

    @property
    def every_row(self) -> list[TokenRow]:
        """The rows of all sets."""
        return [row for opened in self.sets.values() for row in opened.rows]

    def size(self) -> dict[str, Any]:
        """Of the model."""
        return size(self.judge.model)

    def speed(self, *, latency_rows: int, speed_rows: int) -> dict[str, Any]:
        """Of the model over all sets together, of which there must be one."""
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
    results: dict[str, Any] = {}
    with new_folder(out) as temporary:
        (temporary / PREDICTIONS).mkdir()
        with track(len(opened.every_row), f"evaluate {name}") as advance:
            for key, part in opened.sets.items():
                rows, results[key] = opened.judges[key].judge(part.passages, part.rows, advance)
                if key.partition(".")[0] in free_text:
                    results[key] |= free_text_scores(rows, opened.described["language"])
                write_json(temporary / PREDICTIONS / f"{key}.json", rows)
        metrics = {
            "name": name,
            "kind": kind,
            "language": opened.described["language"],
            "sets": results,
            "size": opened.size(),
            "speed": opened.speed(latency_rows=latency_rows, speed_rows=speed_rows)
            if opened.every_row
            else None,
            "max_answer_tokens": max_answer_tokens,
            "null_score_diff_threshold": null_score_diff_threshold,
            "model": {"weights": fingerprint.weights(model), "tokenizer": fingerprint.tokenizer(model)},
        }
        write_json(temporary / METRICS_FILE, metrics)
        if (model / TRAINING_LOG).is_file():
            shutil.copyfile(model / TRAINING_LOG, temporary / TRAINING_LOG)
    return metrics


def _judges(model: Path, described: Mapping[str, Any], **limits: Any) -> dict[str, Judge]:
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
