"""Stage cache_targets: a teacher reads a data set once, and what it says is kept."""

from pathlib import Path

from pipeline.inference.cache_targets import MadeWith, cache_targets
from stages import merge
from stages.folders import MANIFESTS, PASSAGES, TARGETS, TEACHERS
from stages.params import Params, load
from stages.running import entry, start


def run(name: str, params: Path) -> None:
    """Let a teacher read a data set once, or merge sets that are there; only what is missing is computed."""
    settings = load(params, models=True)
    if name in settings.merges:
        merge.run(name, params)
        return
    summary = cache_targets(
        TARGETS / name,
        manifest_out=MANIFESTS / f"{name}.json",
        budget_gb=entry(settings.targets, name, "targets").budget_gb,
        **made_with(settings, name),
    )
    print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in summary.items()))


def made_with(settings: Params, name: str) -> MadeWith:
    """What the target set called `name` is made of and with."""
    targets = entry(settings.targets, name, "targets")
    selection = settings.selection[targets.dataset]
    return MadeWith(
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


if __name__ == "__main__":
    start("cache_targets", run)
