"""A trained student's folder: its weights, tokenizer, log and summary."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from pipeline.binding.inputs import BoundSource
from pipeline.files import new_folder, read_json, write_json, write_text
from pipeline.objectives.objective import Objective
from pipeline.training.phase import Phase

_NOT_PUBLISHED = ".safetensors"


def finished_folder(work: Path, number: int) -> Path:
    """Where the weights and the log of a phase lie once it is done."""
    return work / f"phase-{number}-finished"


def logs_of(phases: Sequence[Phase], work: Path) -> list[list[dict[str, Any]]]:
    """What each phase has logged, without what differs from run to run: times and rates."""
    return [
        [
            {"phase": number, **({"name": phase.name} if phase.name else {}), **entry}
            for entry in read_json(finished_folder(work, number) / "log.json")
            if "train_runtime" not in entry
        ]
        for number, phase in enumerate(phases)
    ]


def summary_of(
    name: str,
    architecture: str,
    seed: int,
    model: PreTrainedModel,
    phases: Sequence[Phase],
    objectives: Sequence[Objective],
    sources: Sequence[Sequence[BoundSource]],
    logs: Sequence[Sequence[Mapping[str, Any]]],
) -> dict[str, Any]:
    """What summary.json says: the student, and of each phase what it read, weighed and last logged."""
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


def publish(
    out: Path,
    finished: Path,
    tokenizer: Path,
    summary: Mapping[str, Any],
    logs: Sequence[Sequence[Mapping[str, Any]]],
) -> None:
    """Write a student's folder, whole or not at all.

    Args:
        out: The folder.
        finished: That of the last phase.
        tokenizer: That of its tokenizer, whose word vectors are part of the model by now.
        summary: What `summary_of` gives.
        logs: What `logs_of` gives.
    """
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
