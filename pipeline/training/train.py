"""A student from its first weights to its published folder, phase after phase.

Every phase can be killed and goes on from its newest checkpoint; a finished phase is a folder in the work
folder. Checkpoints hold optimizer and random state as Trainer writes them (read back with weights_only);
the published folder holds none of that.
"""

import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import xxhash
from safetensors.torch import load_model
from transformers import PreTrainedModel, TrainerCallback, TrainingArguments
from transformers.utils.logging import disable_progress_bar

from pipeline import fingerprint
from pipeline.binding.inputs import BoundSource, Inputs
from pipeline.cache.mix import Mix
from pipeline.cache.reader import TargetCache
from pipeline.cache.settle import TeacherShape
from pipeline.errors import DataError, MismatchError, ParamsError
from pipeline.files import new_folder, read_json, write_json, write_text
from pipeline.models import build
from pipeline.models.observing import observe
from pipeline.models.similarity import SimilarityReader
from pipeline.models.warm_start import start_from
from pipeline.objectives.fit import check_fit
from pipeline.objectives.matches import Held
from pipeline.objectives.needs import needs
from pipeline.objectives.objective import Objective, build_objective
from pipeline.registry import did_you_mean
from pipeline.tasks import TASKS
from pipeline.tasks.heads import head_of, heads_of
from pipeline.training.arguments import OURS, training_problems
from pipeline.training.callbacks import built, loggers
from pipeline.training.early_stopping import EarlyStopping
from pipeline.training.joined import JoinedStream
from pipeline.training.stream import Stream, Targets, TargetSource, row_identities
from pipeline.training.trainer import PROJECTIONS, DistillationTrainer, Scorer

_DEFAULTS = {
    "disable_tqdm": True,
    "logging_steps": 50,
    "save_steps": 500,
}

# A tokenizer folder's word vectors are part of the model by now.
_NOT_PUBLISHED = ".safetensors"


@dataclass(frozen=True)
class Phase:
    """One run of the trainer, as params write it.

    Args:
        terms: Its terms.
        training: Its training section.
        name: What logs and summary call it; its number where it has none.
        tau: How a source is drawn for each batch, see `Mixture`; None reads all rows in one order.
        scorer: Scores the student on the `eval_set` of its training section; None where it has none.
    """

    terms: Sequence[Mapping[str, Any]]
    training: Mapping[str, Any]
    name: str | None = None
    tau: float | None = None
    scorer: Scorer | None = None


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
    sources = [_sources(bound, number, where[number]) for number in range(len(phases))]
    streams = [
        _stream(bound, sources[number], phase, targets or {}, where[number])
        for number, phase in enumerate(phases)
    ]
    objectives = [
        build_objective(
            phase.terms,
            _mixes(bound, sources[number], phase, where[number]),
            [source.name for source in sources[number]],
            bound.head_tasks,
            held=_held(sources[number]),
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
    entries = _logs(phases, work)
    summary = _summary(name, architecture, seed, model, phases, objectives, sources, entries)
    summary |= {} if afresh is None else {"started_afresh": afresh}
    state.wait_for_everyone()  # all have read the logs that publishing clears away
    if arguments[0].should_save:
        _publish(out, _finished_folder(work, len(phases) - 1), tokenizer, summary, entries)
        shutil.rmtree(work)
    state.wait_for_everyone()
    return summary


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


def _held(sources: Sequence[BoundSource]) -> dict[str, Held]:
    """By alias, the fields that target sets hold, with their options."""
    return {alias: entry["options"] for source in sources for alias, entry in source.targets.items()}


def _sources(bound: Inputs, number: int, where: str) -> list[BoundSource]:
    """The sources of a phase, each with rows in it."""
    sources = [source for source in bound.sources if source.phase == number]
    if not sources:
        raise ParamsError(
            f"{where}.sources",
            expected="one source or more",
            got=f"none in {bound.folder}",
            remedy="name one, and bind the student again",
        )
    for source in sources:
        if source.rows == 0:
            raise DataError(
                source.path,
                expected="rows to train on",
                got="none",
                remedy="check the data set's split, and the rejects of prepare",
            )
    return sources


def _mixes(bound: Inputs, sources: Sequence[BoundSource], phase: Phase, where: str) -> dict[str, Mix]:
    """The aliases, of those that the phase's terms read, that stand for several teachers."""
    mixes: dict[str, Mix] = {}
    for alias in needs(phase.terms, heads=bound.head_tasks):
        found = {source.mix(alias) for source in sources if alias in {*source.targets, *source.mixes}}
        if len(found) > 1:
            raise ParamsError(
                f"{where}.sources",
                expected=f"{alias!r} to be the same mix of as many target sets in each, or one set in each",
                got=f"{len(found)} kinds of target",
                remedy="give other mixes an alias of their own, and a term that names it",
            )
        mix = next(iter(found), None)
        if mix is not None:
            mixes[alias] = mix
    return mixes


def _stream(
    bound: Inputs,
    sources: Sequence[BoundSource],
    phase: Phase,
    targets: Mapping[str, Path | TargetSource],
    where: str,
) -> Stream | JoinedStream:
    """The rows of a phase, joined with the targets that its terms read."""
    # The student's tokens are the teacher's where they are so in every source.
    equal = {
        alias
        for source in sources
        for alias in source.targets
        if all(other.targets[alias]["equal_tokens"] for other in sources if alias in other.targets)
    }
    beside = {f"{alias}/{name}" for alias in equal for name in ("gold", "token_spans")}
    streams = [_source_stream(bound, source, phase, targets, where, beside) for source in sources]
    return streams[0] if len(streams) == 1 else JoinedStream(streams)


def _source_stream(
    bound: Inputs,
    source: BoundSource,
    phase: Phase,
    targets: Mapping[str, Path | TargetSource],
    where: str,
    left_out: Collection[str],
) -> Stream:
    columns = {name: column for name, column in source.columns().items() if name not in left_out}
    row_ids, occurrences = row_identities(columns)
    mixes = _mixes(bound, [source], phase, where)
    joined = {}
    needed = needs(phase.terms, source.name, bound.head_tasks, held=_held([source]))
    for alias, (fields, wanted) in needed.items():
        for member in mixes[alias].aliases(alias) if alias in mixes else (alias,):
            entry = source.targets.get(member)
            if entry is None or entry["set"] not in targets:
                raise ParamsError(
                    f"{where}.terms",
                    expected=f"a target set called {member!r}",
                    got=f"{sorted(source.targets)} of {source.name} in {bound.folder}, "
                    f"caches for {sorted(targets)}",
                    remedy="name it among the source's targets, and bind the student again",
                )
            opened = _open(targets[entry["set"]], entry["identity"], fields, bound.folder)
            joined[member] = Targets(opened, opened.positions(row_ids, occurrences), wanted)
    return Stream(columns, joined, tuple(mixes), TASKS[source.task or bound.task].labels)


def _open(
    target: Path | TargetSource, identity: Mapping[str, str], fields: Sequence[str], inputs: Path
) -> TargetSource:
    if not isinstance(target, Path):
        return target
    absent = [field for field in fields if field not in identity]
    if absent:
        raise MismatchError(
            inputs,
            expected=f"inputs bound to the fields {', '.join(fields)} of {target}",
            got=f"none of {', '.join(absent)}",
            remedy="bind the student again",
        )
    source: TargetSource = TargetCache.open(target, expected={field: identity[field] for field in fields})
    return source


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


def _finished_folder(work: Path, number: int) -> Path:
    return work / f"phase-{number}-finished"


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
    finished = _finished_folder(work, number)
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


def _logs(phases: Sequence[Phase], work: Path) -> list[list[dict[str, Any]]]:
    """What each phase has logged, without what differs from run to run: times and rates."""
    return [
        [
            {"phase": number, **({"name": phase.name} if phase.name else {}), **entry}
            for entry in read_json(_finished_folder(work, number) / "log.json")
            if "train_runtime" not in entry
        ]
        for number, phase in enumerate(phases)
    ]


def _summary(
    name: str,
    architecture: str,
    seed: int,
    model: PreTrainedModel,
    phases: Sequence[Phase],
    objectives: Sequence[Objective],
    sources: Sequence[Sequence[BoundSource]],
    logs: Sequence[Sequence[Mapping[str, Any]]],
) -> dict[str, Any]:
    return {
        "name": name,
        "architecture": architecture,
        "seed": seed,
        "parameters": model.num_parameters(),
        "trained_parameters": model.num_parameters(only_trainable=True),
        "phases": [
            {
                "name": phase.name or str(number),
                "rows": sum(source.rows for source in sources[number]),
                "sources": [_read(source) for source in sources[number]],
                "scales": {term.name: term.scale for term in objectives[number].terms},
                "last": next((entry for entry in reversed(logs[number]) if "loss" in entry), {}),
                **{key: entry[key] for entry in logs[number] for key in ("best_step",) if key in entry},
            }
            for number, phase in enumerate(phases)
        ],
    }


def _read(source: BoundSource) -> dict[str, Any]:
    """What was read of a source, and what a share has taken away."""
    shares = {"left_out_rows": source.left_out_rows, "hidden_labels": source.hidden_labels}
    return {
        "source": source.name,
        "rows": source.rows,
        **{name: count for name, count in shares.items() if count},
    }


def _publish(
    out: Path,
    finished: Path,
    tokenizer: Path,
    summary: Mapping[str, Any],
    logs: Sequence[Sequence[Mapping[str, Any]]],
) -> None:
    with new_folder(out) as folder:
        for path in sorted(tokenizer.iterdir()):
            if path.is_file() and path.suffix != _NOT_PUBLISHED:
                shutil.copyfile(path, folder / path.name)
        for path in finished.iterdir():
            if path.name != "log.json":
                shutil.copyfile(path, folder / path.name)
        lines = [json.dumps(entry) + "\n" for log in logs for entry in log]
        write_text(folder / "training_log.jsonl", "".join(lines))
        write_json(folder / "summary.json", summary)
