"""Stage cache_targets: a teacher reads a data set once, and what it says is kept."""

from pathlib import Path

import torch

from pipeline.errors import ParamsError
from pipeline.inference.cache_targets import MadeWith, cache_targets
from stages import merge
from stages.clusters import workers
from stages.folders import MANIFESTS, PASSAGES, TARGETS, TEACHERS
from stages.params import Params, load
from stages.running import entry, start


def run(
    name: str,
    params: Path,
    *,
    cluster: str | None = None,
    threads: int | None = None,
    wait: bool = False,
) -> None:
    """Let a teacher read a data set once, or merge sets that are there; only what is missing is computed."""
    settings = load(params, models=True)
    if name in settings.merges:
        if cluster is not None:
            raise ParamsError(
                f"merges.{name}",
                expected="a target set that a teacher fills",
                got="a merge, on a cluster",
                remedy="leave --cluster out: a merge reads files, and takes seconds",
            )
        merge.run(name, params, wait=wait)
        return
    made = made_with(settings, name)
    with workers(cluster, threads) as found:
        if found is None and threads:
            torch.set_num_threads(threads)
        summary = cache_targets(
            TARGETS / name,
            manifest_out=MANIFESTS / f"{name}.json",
            budget_gb=entry(settings.targets, name, "targets").budget_gb,
            wait=wait,
            workers=found,
            **made,
        )
    print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in summary.items()))


def made_with(settings: Params, name: str) -> MadeWith:
    """What the target set called `name` is made of and with."""
    targets = entry(settings.targets, name, "targets")
    selection = settings.selection[targets.dataset]
    made = MadeWith(
        teacher=TEACHERS / targets.teacher,
        passages=PASSAGES / targets.dataset,
        splits=targets.splits,
        fields=targets.fields,
        max_length=selection.max_tokens,
        max_question_tokens=selection.max_question_tokens,
        backend=targets.backend,
        batch_tokens=targets.batch_tokens,
        autocast=targets.autocast,
    )
    if targets.shard_rows is not None:
        made["shard_rows"] = targets.shard_rows
    return made


if __name__ == "__main__":
    start("cache_targets", run)
