"""A teacher of one's own: a checkpoint or a fresh model, fine-tuned on gold labels."""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from transformers import AutoModelForQuestionAnswering, PreTrainedModel, set_seed

from pipeline import fingerprint
from pipeline.errors import DataError, ModelError, ParamsError
from pipeline.extensions import code_of
from pipeline.files import new_folder, read_json, write_json
from pipeline.hub import local_folder
from pipeline.inference.checkpoint import load_checkpoint, mapped
from pipeline.inference.gold_trainer import check_training, train
from pipeline.inference.inputs import check_length
from pipeline.inference.labelled import LabelledPassages, identity
from pipeline.inference.publish import publish
from pipeline.models import ARCHITECTURES, build
from pipeline.models.head import AUTO_CLASSES, Head
from pipeline.registry import did_you_mean
from pipeline.schema import Passage
from pipeline.tables import read_rows
from pipeline.tasks import SPAN, TASKS
from pipeline.tasks.heads import head_of
from pipeline.text.tokenizers import Encoder

# Raised by hand when the same arguments give other weights.
NUMERICS: Final = 1

_RECORD = "training.json"


def finetune(
    out: Path,
    *,
    model: Mapping[str, Any],
    tokenizer: Path | None = None,
    passages: Path,
    split: str = "train",
    task: str = SPAN,
    classes: Sequence[str] = (),
    max_length: int,
    max_question_tokens: int,
    training: Mapping[str, Any],
    seed: int = 0,
) -> dict[str, Any]:
    """Train a teacher and publish it to `out` as a transformers folder; one that is there already is kept.

    Passages without a gold label that the model can see are skipped and counted. A run that was killed goes
    on after its last whole epoch. The same arguments give the same weights on the same machine.

    Args:
        out: The teacher's folder.
        model: `from`, a folder or a name on the hub; or `architecture` with its options, for a fresh model.
        tokenizer: The tokenizer's folder; needed by a fresh model, else the checkpoint's own is used.
        passages: A folder of selected passages.
        split: Which of its splits.
        task: What the teacher learns.
        classes: The task's classes, in the order of its outputs.
        max_length: Tokens a row at most.
        max_question_tokens: Tokens of its question at most.
        training: TrainingArguments by name.
        seed: Of fresh weights, order and dropout.

    Returns:
        Rows, labelled and skipped ones, steps, the last loss, parameters, seconds.

    Raises:
        ParamsError: A task, an architecture or a setting that is unknown, or the loss is no finite number.
        ModelError: The checkpoint or tokenizer cannot be used.
        DataError: No passage has a gold label.
    """
    learnable = [name for name, known in TASKS.items() if known.gold_loss is not None]
    if task not in learnable:
        raise ParamsError(
            "task", expected="a task that can be taught", got=repr(task), remedy=did_you_mean(task, learnable)
        )
    check_training(training)
    started = time.monotonic()
    rows = read_rows(passages / f"{split}.arrow", Passage)
    head = head_of(task, classes)
    begin, tokenizer_folder = _beginning(model, tokenizer, seed, head)
    data = LabelledPassages(
        rows,
        Encoder.open(tokenizer_folder),
        max_length=max_length,
        max_question_tokens=max_question_tokens,
        labels=TASKS[task].labels,
        classes=classes,
    )
    if not len(data):
        raise DataError(
            passages / f"{split}.arrow",
            expected="passages with a gold answer" if task == SPAN else "passages with a gold label",
            got=f"{len(rows)} passages, none with an answer that the model can see",
            remedy="train on another split or data set",
        )
    settings = fingerprint.settings(
        {
            "model": _described(model, tokenizer_folder),
            "passages": identity(rows),
            "limits": [max_length, max_question_tokens],
            "training": dict(training),
            "seed": seed,
            "task": task,
            "classes": list(classes),
            "numerics": NUMERICS,
        }
    )
    if (finished := _finished(out, settings)) is not None:
        return {**finished, "seconds": 0.0}
    work = _work_folder(out, settings)
    set_seed(seed)
    trained = begin()
    check_length(trained.config, max_length, out)
    learnt = train(
        trained, data, work, training, seed, label=f"teacher {out.name}", loss=str(TASKS[task].gold_loss)
    )
    summary = {
        "rows": len(rows),
        "labelled": len(data),
        "skipped": data.skipped,
        "steps": learnt.steps,
        "loss": learnt.log[-1]["loss"] if learnt.log else None,
        "parameters": trained.num_parameters(),
    }
    with new_folder(out) as temporary:
        publish(trained, tokenizer_folder, temporary)
        described = {"summary": summary, "settings": settings, "weights": fingerprint.weights(temporary)}
        write_json(temporary / _RECORD, {**described, "log": learnt.log})
    shutil.rmtree(work)
    return {**summary, "seconds": round(time.monotonic() - started, 1)}


def _beginning(
    model: Mapping[str, Any], tokenizer: Path | None, seed: int, head: Head | None
) -> tuple[Callable[[], PreTrainedModel], Path]:
    """What makes the untrained model, and the folder of its tokenizer."""
    if "from" in model:
        folder = local_folder(str(model["from"]))
        # A head of other classes than the checkpoint's begins afresh.
        own = {} if head is None else {**head.config, "ignore_mismatched_sizes": True}
        kind = AutoModelForQuestionAnswering if head is None else AUTO_CLASSES[head.kind]
        return lambda: mapped(load_checkpoint(folder, kind, **own)[0], model.get("outputs")), folder
    if "architecture" not in model:
        raise ParamsError(
            "model",
            expected="`from` (a checkpoint) or `architecture` (a fresh model)",
            got=", ".join(model) or "nothing",
            remedy="name one of them",
        )
    if tokenizer is None:
        raise ModelError(
            f"model of architecture {model['architecture']!r}",
            expected="the folder of a tokenizer, for a fresh model",
            got="none",
            remedy="give the teacher a tokenizer",
        )
    options = {key: value for key, value in model.items() if key != "architecture"}
    own = {key: value for key, value in options.items() if key != "outputs"}
    problems = ARCHITECTURES.option_problems(model["architecture"], own)
    if problems:
        raise ParamsError(
            "model",
            expected=f"the options of architecture {model['architecture']!r}",
            got="; ".join(problems),
            remedy="correct the model's options",
        )
    return lambda: build(model["architecture"], tokenizer, options, seed, head), tokenizer


def _finished(out: Path, settings: str) -> dict[str, Any] | None:
    """The summary of the teacher in `out`, if these settings made it and its weights are as written."""
    if not (out / _RECORD).is_file():
        return None
    record = read_json(out / _RECORD, what="the record of a training")
    if record.get("settings") != settings or record.get("weights") != fingerprint.weights(out):
        return None
    summary: dict[str, Any] = record["summary"]
    return summary


def _described(model: Mapping[str, Any], tokenizer: Path) -> dict[str, Any]:
    described: dict[str, Any] = {**model, "tokenizer": fingerprint.tokenizer(tokenizer)}
    if code := code_of(model):
        described["code"] = code
    if "from" in model:
        folder = local_folder(str(model["from"]))
        described |= {"weights": fingerprint.weights(folder), "config": fingerprint.config(folder)}
    return described


def _work_folder(out: Path, settings: str) -> Path:
    """A folder beside `out` for checkpoints; those of other settings are thrown away."""
    work = out.with_name(f".{out.name}.work")
    note = work / "settings.json"
    if work.exists() and not (note.is_file() and read_json(note) == settings):
        shutil.rmtree(work)
    write_json(note, settings)
    return work
