"""The commands `coldbrew cache ...`: what target caches will hold, hold, and whether it is true.

Each imports what it needs when it runs: `coldbrew --help` must not wait for it.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from stages.folders import MANIFESTS, PARAMS, TARGETS
from stages.running import DebugOption, ParamsOption, entry, errors_shown

app = typer.Typer(
    help="Target caches: what they will hold, hold, and whether every byte is as written.",
    no_args_is_help=True,
)

CachePath = Annotated[
    Path, typer.Argument(help="A target set of params.yaml by name, or the folder of a cache.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
WaitOption = Annotated[bool, typer.Option("--wait", help="Wait for another run that writes the cache.")]


def _folder(path: Path) -> Path:
    return path if path.is_dir() else TARGETS / path


@app.command("plan")
def plan_command(
    path: CachePath, params: ParamsOption = PARAMS, as_json: JsonOption = False, debug: DebugOption = False
) -> None:
    """Say what a fill would compute and write, field by field, before the first byte."""
    with errors_shown(debug=debug):
        from pipeline.inference.cache_targets import plan_lines, plan_targets
        from stages.cache_targets import made_with
        from stages.params import load

        settings = load(params, models=True)
        planned = plan_targets(TARGETS / path.name, **made_with(settings, path.name))
        print(json.dumps(planned.summary(), indent=2) if as_json else "\n".join(plan_lines(planned)))
        planned.check_budget(entry(settings.targets, path.name, "targets").budget_gb)


@app.command("describe")
def describe_command(path: CachePath, as_json: JsonOption = False, debug: DebugOption = False) -> None:
    """Say what a cache holds and what made it."""
    with errors_shown(debug=debug):
        from pipeline.cache.describe import describe

        described = describe(_folder(path))
        print(json.dumps(described, indent=2) if as_json else "\n".join(_lines(described)))


@app.command("verify")
def verify_command(path: CachePath, debug: DebugOption = False) -> None:
    """Read every byte; exit code 0 only where all are as written."""
    with errors_shown(debug=debug):
        from pipeline.cache.verify import verify

        folder = _folder(path)
        problems = verify(folder)
        for problem in problems:
            print(problem, file=sys.stderr)
        print(f"{folder}: {f'{len(problems)} problem(s)' if problems else 'every byte is as written'}")
        if problems:
            raise SystemExit(1)


@app.command("repair")
def repair_command(
    path: CachePath, params: ParamsOption = PARAMS, wait: WaitOption = False, debug: DebugOption = False
) -> None:
    """Compute damaged and missing shards again, and nothing else."""
    with errors_shown(debug=debug):
        from pipeline.inference.cache_targets import repair_targets
        from stages.cache_targets import made_with
        from stages.params import load

        settings = load(params, models=True)
        summary = repair_targets(
            TARGETS / path.name,
            manifest_out=MANIFESTS / f"{path.name}.json",
            wait=wait,
            **made_with(settings, path.name),
        )
        print(f"{path.name}: " + ", ".join(f"{key} {value}" for key, value in summary.items()))


@app.command("gc")
def gc_command(path: CachePath, wait: WaitOption = False, debug: DebugOption = False) -> None:
    """Delete the shards that no row lies in any more."""
    with errors_shown(debug=debug):
        from pipeline.cache.gc import gc

        freed = gc(_folder(path), wait=wait)
        print(f"{_folder(path)}: {freed / 1e6:,.1f} MB freed")


def _lines(value: Mapping[str, Any], indent: str = "") -> list[str]:
    lines = []
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            lines += [f"{indent}{key}:", *_lines(item, indent + "  ")]
        else:
            lines.append(f"{indent}{key}: {item}")
    return lines
