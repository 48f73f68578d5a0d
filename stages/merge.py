"""Stage merge: target sets of several teachers are made into one."""

from pathlib import Path

from pipeline.cache.fill import fill, repair
from pipeline.cache.identity import write_identity
from pipeline.cache.manifest import Manifest
from pipeline.cache.merge import Members
from pipeline.cache.mix import Mix
from pipeline.cache.plan import Plan, plan
from pipeline.progress import track
from stages.folders import MERGES, TARGETS
from stages.params import load
from stages.running import entry, start
from stages.sections import Params


def run(name: str, params: Path, *, wait: bool = False) -> None:
    """Make target sets of several teachers into one; only what is missing is made."""
    settings = load(params)
    members = members_of(settings, name)
    planned = plan(TARGETS / name, members.rows, members.settings)
    budget_gb = settings.merges[name].budget_gb
    with track(planned.pending_rows, f"merge {name}") as advance:
        manifest = fill(planned, members, wait=wait, budget_gb=budget_gb, advance=advance, run=members.facts)
    _finish(name, manifest)


def plan_merge(settings: Params, name: str) -> Plan:
    """What `run` would make and write; nothing is written."""
    members = members_of(settings, name)
    return plan(TARGETS / name, members.rows, members.settings)


def repair_merge(name: str, params: Path, *, wait: bool = False) -> None:
    """Read every byte of a merged set and make its damaged and missing shards again, nothing else."""
    members = members_of(load(params), name)
    manifest = repair(TARGETS / name, members.rows, members.settings, members, wait=wait, run=members.facts)
    _finish(name, manifest)


def _finish(name: str, manifest: Manifest) -> None:
    write_identity(MERGES / f"{name}.json", name, manifest)
    size = sum(file.bytes for file in manifest.files().values())
    print(f"{name}: rows {manifest.rows.count}, unique_inputs {manifest.rows.unique}, bytes {size}")


def members_of(settings: Params, name: str) -> Members:
    """The target sets that the one called `name` is made of."""
    merged = entry(settings.merges, name, "merges")
    return Members(
        [TARGETS / member for member in merged.members],
        Mix.of(merged.mean, len(merged.members), merged.weights),
        splits=merged.splits,
        fields=merged.fields,
        backend=merged.backend,
    )


if __name__ == "__main__":
    start("merge", run)
