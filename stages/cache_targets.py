"""Stage cache_targets: a teacher reads a data set once, and what it says is kept."""

from pathlib import Path

import torch

from pipeline.errors import ParamsError
from pipeline.inference.cache_targets import MadeWith, cache_targets, repair_targets
from stages import merge
from stages.clusters import workers
from stages.folders import MANIFESTS, PASSAGES, TARGETS, TEACHERS
from stages.params import load
from stages.running import entry, start
from stages.sections import Params


def run(
    name: str,
    params: Path,
    *,
    cluster: str | None = None,
    threads: int | None = None,
    wait: bool = False,
    repair: bool = False,
) -> None:
    """Let a teacher read a data set once, or merge sets that are there; only what is missing is computed.

    To `repair` is to read every byte first, and to compute nothing but what was there and is damaged.
    """
    settings = load(params, models=True)
    if name in settings.merges:
        if cluster is not None:
            raise ParamsError(
                f"merges.{name}",
                expected="a target set that a teacher fills",
                got="a merge, on a cluster",
                remedy="leave --cluster out: a merge reads files, and takes seconds",
            )
        (merge.repair_merge if repair else merge.run)(name, params, wait=wait)
        return
    made = made_with(settings, name)
    with workers(cluster, threads) as found:
        if found is None and threads:
            torch.set_num_threads(threads)
        out, manifest_out = TARGETS / name, MANIFESTS / f"{name}.json"
        if repair:
            summary = repair_targets(out, manifest_out=manifest_out, wait=wait, workers=found, **made)
        else:
            budget_gb = entry(settings.targets, name, "targets").budget_gb
            summary = cache_targets(
                out, manifest_out=manifest_out, budget_gb=budget_gb, wait=wait, workers=found, **made
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
