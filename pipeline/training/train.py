"""A student from its first weights to its published folder, phase after phase.

Every phase can be killed and goes on from its newest checkpoint; a finished phase is a folder in the work
folder. Checkpoints hold optimizer and random state as Trainer writes them (read back with weights_only);
the published folder holds none of that.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import xxhash
from safetensors.torch import load_model
from transformers import PreTrainedModel, TrainerCallback, TrainingArguments
from transformers.utils.logging import disable_progress_bar

from pipeline import fingerprint
from pipeline.binding.inputs import Inputs
from pipeline.cache.settle import TeacherShape
from pipeline.errors import MismatchError, ParamsError
from pipeline.files import new_folder, read_json, write_json
from pipeline.models import build
from pipeline.models.observing import observe
from pipeline.models.similarity import SimilarityReader
from pipeline.models.warm_start import start_from
from pipeline.objectives.fit import check_fit
from pipeline.objectives.objective import Objective, build_objective
from pipeline.registry import did_you_mean
from pipeline.tasks.heads import head_of, heads_of
from pipeline.training.arguments import OURS, training_problems
from pipeline.training.callbacks import built, loggers
from pipeline.training.early_stopping import EarlyStopping
from pipeline.training.joined import JoinedStream
from pipeline.training.phase import Phase
from pipeline.training.phase_rows import held_by, mixes_of, open_stream, phase_sources
from pipeline.training.publish import finished_folder, logs_of, publish, summary_of
from pipeline.training.stream import Stream, TargetSource
from pipeline.training.trainer import PROJECTIONS, DistillationTrainer

_DEFAULTS = {
    "disable_tqdm": True,
    "logging_steps": 50,
    "save_steps": 500,
}


def train(
    out: Path,
    *,
    name: str,
    inputs: Path,
    tokenizer: Path,
    architecture: str,
    options: Mapping[str, Any],
    phases: Sequence[Phase],
    seed: int,
    work: Path,
    targets: Mapping[str, Path | TargetSource] | None = None,
    logs: Path | None = None,
    start: Path | None = None,
) -> dict[str, Any]:
    """Train a student and publish it in `out`; a killed call is gone on with by calling again.

    Args:
        out: The folder to write: a transformers folder with tokenizer, log and summary.
        name: The student's name, for messages.
        inputs: The student's bound training inputs.
        tokenizer: The student's tokenizer folder.
        architecture: A name in `ARCHITECTURES`.
        options: The architecture's options.
        phases: What to do, in order. Each source of the inputs says which of them it belongs to.
        seed: Of first weights, order and dropout; a phase's own `seed` goes before it for the latter two.
        work: Checkpoints and finished phases; gone when the student is published.
        targets: For each target set that the inputs name, its cache, or a source that is open already.
        logs: Where loggers (`report_to`) keep their files; None is beside `work`.
        start: The weights of a finished student to start from.

    Returns: The summary that is published too.

    Raises:
        ParamsError: Settings that cannot be obeyed.
        MismatchError: A cache is not the one that the inputs were bound to.
    """
    logs = logs or work.with_name(f"{work.name}-logs")
    disable_progress_bar()  # type: ignore[no-untyped-call]  # a bar for every checkpoint that is saved
    _check(name, phases)
    bound = Inputs.open(inputs)
    for phase in phases:
        build_objective(phase.terms, heads=bound.head_tasks)  # before any other file is read
    _check_tokenizer(bound, tokenizer)
    options = {**options, "initial": bound.initial_weights} if bound.initial_weights else options
    where = [f"students.{name}.phases.{number}" for number in range(len(phases))]
    sources = [phase_sources(bound, number, where[number]) for number in range(len(phases))]
    streams = [
        open_stream(bound, sources[number], phase.terms, targets or {}, where[number])
        for number, phase in enumerate(phases)
    ]
    objectives = [
        build_objective(
            phase.terms,
            mixes_of(bound, sources[number], phase.terms, where[number]),
            [source.name for source in sources[number]],
            bound.head_tasks,
            held=held_by(sources[number]),
            seed=int(phase.training.get("seed", seed)),
        )
        for number, phase in enumerate(phases)
    ]
    arguments = [
        _training_arguments(phase.training, seed, _phase_folder(work, number))
        for number, phase in enumerate(phases)
    ]
    _ = arguments[0].device  # joins the process group, where there is one
    state = arguments[0].distributed_state
    _check_processes(name, state.num_processes)
    with state.main_process_first():
        made = {**options, "start": start} if start is not None else options
        run = _identity(inputs, tokenizer, architecture, made, phases, seed, state.num_processes)
        if not _claim(work, run):
            shutil.rmtree(logs, ignore_errors=True)
    head = heads_of(bound.heads) or head_of(bound.task, bound.classes)
    model = build(architecture, tokenizer, options, seed, head)
    afresh = start_from(model, start) if start is not None else None
    _check_fit(name, model, bound, phases, objectives)
    for number, phase in enumerate(phases):
        _run(
            model,
            arguments[number],
            phase,
            streams[number],
            objectives[number],
            work,
            number,
            name,
            logs / (phase.name or f"phase-{number}"),
        )
    entries = logs_of(phases, work)
    summary = summary_of(name, architecture, seed, model, phases, objectives, sources, entries)
    summary |= {} if afresh is None else {"started_afresh": afresh}
    state.wait_for_everyone()  # all have read the logs that publishing clears away
    if arguments[0].should_save:
        publish(out, finished_folder(work, len(phases) - 1), tokenizer, summary, entries)
        shutil.rmtree(work)
    state.wait_for_everyone()
    return summary


def _check_processes(name: str, joined: int) -> None:
    """Refuse processes that do not know of each other: each would train all of the student."""
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != joined:
        raise ParamsError(
            f"students.{name}",
            expected=f"{started} processes that train together, as they were started",
            got=f"{joined} in a group",
            remedy="without GPUs write use_cpu: true in the training of its phases, or start one process",
        )


def _check(name: str, phases: Sequence[Phase]) -> None:
    problems = [
        f"phases.{number}.training: {problem}"
        for number, phase in enumerate(phases)
        for problem in training_problems(phase.training) or _scorer_problems(phase)
    ]
    if not phases:
        problems = ["phases: expected at least one"]
    if problems:
        raise ParamsError(
            f"students.{name}",
            expected="settings that can be obeyed",
            got="; ".join(problems),
            remedy="mend them in params",
        )


def _scorer_problems(phase: Phase) -> list[str]:
    """What only the scorer knows: the names of its scores."""
    metric = phase.training.get("metric_for_best_model")
    if "eval_set" in phase.training and phase.scorer is None:
        return ["eval_set: expected what scores the student; got nothing"]
    if metric is None or phase.scorer is None or metric in phase.scorer.metrics:
        return []
    return [f"metric_for_best_model: unknown metric {metric!r}; {did_you_mean(metric, phase.scorer.metrics)}"]


def _check_tokenizer(bound: Inputs, tokenizer: Path) -> None:
    found = fingerprint.tokenizer(tokenizer)
    if found != bound.tokenizer:
        raise MismatchError(
            bound.folder,
            expected=f"inputs made with the tokenizer in {tokenizer} ({found[:8]}..)",
            got=f"inputs made with tokenizer {bound.tokenizer[:8]}..",
            remedy="bind the student again",
        )


def _check_fit(
    name: str,
    model: PreTrainedModel,
    bound: Inputs,
    phases: Sequence[Phase],
    objectives: Sequence[Objective],
) -> None:
    """Stop where terms do not fit the student, or its tokens, or what teachers were cached for them."""
    config = model.config
    student = TeacherShape(
        "the student",
        layers=None if isinstance(model, SimilarityReader) else getattr(config, "num_hidden_layers", None),
        width=getattr(config, "hidden_size", None),
        num_heads=getattr(config, "num_attention_heads", None),
    )
    sources = [source for source in bound.sources if source.phase < len(phases)]
    check_fit(name, [phase.terms for phase in phases], sources, bound.head_tasks, student)
    for objective in objectives:
        reads = objective.reads
        with observe(model, hidden=reads.hidden, attention=reads.attention, pooled=reads.pooled):
            pass  # what cannot be observed is refused before any row is read


def _training_arguments(training: Mapping[str, Any], seed: int, folder: Path) -> TrainingArguments:
    passed = {key: value for key, value in training.items() if key not in OURS and key != "save_total_limit"}
    watched = {"eval_strategy": "epoch"} if "eval_set" in training else {}
    # What a callback has counted so far is part of a run that is gone on with.
    counting = {"callbacks", "early_stopping_patience"} & training.keys()
    restored = {"restore_callback_states_from_checkpoint": True} if counting else {}
    return TrainingArguments(
        output_dir=str(folder), **{**_DEFAULTS, "seed": seed, **watched, **restored, **passed}
    )


def _callbacks(
    training: Mapping[str, Any], arguments: TrainingArguments, logs: Path
) -> list[TrainerCallback]:
    callbacks = built(training.get("callbacks", []))
    if patience := training.get("early_stopping_patience"):
        callbacks.append(EarlyStopping(patience, float(training.get("early_stopping_threshold", 0))))
    if arguments.process_index == 0:
        callbacks += loggers(training.get("report_to", "none"), logs)
    return callbacks


def _identity(
    inputs: Path,
    tokenizer: Path,
    architecture: str,
    options: Mapping[str, Any],
    phases: Sequence[Phase],
    seed: int,
    world: int,
) -> str:
    """What a half-finished run must share with this one to be gone on with."""
    return fingerprint.settings(
        {
            "inputs": {path.name: _checksum(path) for path in sorted(inputs.iterdir()) if path.is_file()},
            "tokenizer": fingerprint.tokenizer(tokenizer),
            "architecture": architecture,
            "options": {
                key: _checksum(value) if isinstance(value, Path) else value for key, value in options.items()
            },
            "phases": [
                [[dict(term) for term in phase.terms], dict(phase.training), phase.tau] for phase in phases
            ],
            "seed": seed,
            "world": world,
        }
    )


def _checksum(path: Path) -> str:
    state = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            state.update(block)
    return state.hexdigest()


def _claim(work: Path, identity: str) -> bool:
    """Keep what is in `work` if the same run wrote it, else empty it; whether it was kept."""
    note = work / "run.json"
    if note.is_file() and read_json(note) == {"identity": identity}:
        return True
    if work.exists():
        shutil.rmtree(work)
    write_json(note, {"identity": identity})
    return False


def _phase_folder(work: Path, number: int) -> Path:
    return work / f"phase-{number}"


def _run(
    model: PreTrainedModel,
    arguments: TrainingArguments,
    phase: Phase,
    stream: Stream | JoinedStream,
    objective: Objective,
    work: Path,
    number: int,
    name: str,
    logs: Path,
) -> None:
    """Do phase `number` unless it is done; `model` has its published weights afterwards."""
    finished = finished_folder(work, number)
    if not finished.is_dir():
        trainer = DistillationTrainer(
            model,
            arguments,
            stream=stream,
            objective=objective,
            label=f"train {name}, phase {phase.name or number}",
            tau=phase.tau,
            scorer=phase.scorer,
            load_best=phase.training.get("load_best_model_at_end", False),
            callbacks=_callbacks(phase.training, arguments, logs),
            ema_decay=phase.training.get("ema_decay"),
            warmup=phase.training.get("warmup", "linear"),
            keep_checkpoints=phase.training.get("save_total_limit", 1),
        )
        trainer.train()
        if arguments.should_save:
            with new_folder(finished) as folder, trainer.published_weights():
                model.save_pretrained(folder)
                write_json(folder / "log.json", trainer.state.log_history)
            shutil.rmtree(_phase_folder(work, number), ignore_errors=True)
        trainer.accelerator.wait_for_everyone()
    model._modules.pop(PROJECTIONS, None)
    # Read back even where they have just been written, so that a resumed run is the same run.
    load_model(model, finished / "model.safetensors")
    torch.nn.Module.to(model, "cpu")
