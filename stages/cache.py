"""The commands `coldbrew cache ...`: what target caches will hold, hold, and whether it is true.

Each imports what it needs when it runs: `coldbrew --help` must not wait for it.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.errors import ParamsError
from stages.clusters import ClusterOption, ThreadsOption
from stages.folders import PARAMS, TARGETS
from stages.running import DebugOption, ParamsOption, entry, errors_shown, timed

app = typer.Typer(
    help="Target caches: what they will hold, hold, and whether every byte is as written.",
    no_args_is_help=True,
)

CachePath = Annotated[
    Path, typer.Argument(help="A target set of params.yaml by name, or the folder of a cache.")
]
CacheSource = Annotated[
    str, typer.Argument(help="A target set of params.yaml by name, the folder of a cache, or a URL.")
]
SetName = Annotated[Path, typer.Argument(metavar="NAME", help="A target set of params.yaml by name.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
WaitOption = Annotated[bool, typer.Option("--wait", help="Wait for another run that writes the cache.")]


def _folder(path: Path) -> Path:
    return path if path.is_dir() else TARGETS / path


def _name(path: Path) -> str:
    """The target set called `path`, or whose own folder that is: params say what a set holds, not its folder.

    Raises:
        ParamsError: It is another folder.
    """
    if path != Path(path.name) and path.resolve() != (TARGETS / path.name).resolve():
        raise ParamsError(
            path,
            expected="a target set of params.yaml by name: it is filled and repaired in its own folder alone",
            got="another folder",
            remedy=f"name the set; a copy of {path.name} is made anew from a whole one "
            "(coldbrew cache push, pull, convert)",
        )
    return path.name


def _here(source: str) -> Path:
    """The folder of a cache, fetched first where `source` is a URL."""
    if not _is_url(source):
        return _folder(Path(source))
    from pipeline.cache.remote import fetched, manifest_at
    from pipeline.progress import track

    size = sum(entry.bytes for entry in manifest_at(source).files().values())
    with track(size, f"fetch {source}", unit="bytes") as advance:
        return fetched(source, advance=advance)


def _is_url(source: str) -> bool:
    return "://" in source


@app.command("plan")
def plan_command(
    path: Annotated[
        Path | None, typer.Argument(metavar="NAME", help="A target set of params.yaml by name.")
    ] = None,
    students: Annotated[
        list[str] | None, typer.Option("--for", help="Print the fields that this student needs instead.")
    ] = None,
    budget_gb: Annotated[
        float | None, typer.Option(help="Propose fields and encodings that fit into so many GB.")
    ] = None,
    measure: Annotated[
        bool, typer.Option(help="Let the teacher read a few rows, to say how long it will take.")
    ] = True,
    params: ParamsOption = PARAMS,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Say what a fill would compute and write, field by field, and how long, before the first byte."""
    with errors_shown(debug=debug):
        if students:
            from stages.needed import needed_lines

            print("\n".join(needed_lines(params, students)))
        elif path is None:
            raise ParamsError(
                "cache plan",
                expected="a target set by name, or a student after --for",
                got="neither",
                remedy="see coldbrew cache plan --help",
            )
        else:
            _plan(_name(path), params, budget_gb, measure=measure, as_json=as_json)


def _plan(name: str, params: Path, budget_gb: float | None, *, measure: bool, as_json: bool) -> None:
    from pipeline.inference.cache_targets import estimate_lines, estimate_targets, plan_lines, plan_targets
    from stages.cache_targets import made_with
    from stages.merge import plan_merge
    from stages.params import load

    settings = load(params, models=True)
    if name in settings.merges:
        if budget_gb is not None:
            raise ParamsError(
                "cache plan --budget-gb",
                expected="a target set of one teacher",
                got=f"{name}, a merge",
                remedy="ask for its members: their encodings are what costs",
            )
        planned = plan_merge(settings, name)
        print(json.dumps(planned.summary(), indent=2) if as_json else "\n".join(plan_lines(planned)))
        planned.check_budget(settings.merges[name].budget_gb)
        return
    made = made_with(settings, name)
    estimated = None
    if measure or budget_gb is not None:
        planned, estimated = estimate_targets(TARGETS / name, always=budget_gb is not None, **made)
    else:
        planned = plan_targets(TARGETS / name, **made)
    summary, lines = planned.summary(), plan_lines(planned)
    if estimated is not None:
        lines += estimate_lines(planned, estimated)
        summary |= {
            "teacher_rows_per_s": estimated.teacher_rate,
            "disk_bytes_per_s": estimated.disk_rate,
            "seconds_to_fill": planned.pending_rows / estimated.teacher_rate,
        }
        if budget_gb is not None:
            from pipeline.cache.propose import propose

            proposal = propose(planned, estimated, budget_gb)
            lines += ["", *proposal.lines(name)]
            summary["proposal"] = proposal.summary()
    print(json.dumps(summary, indent=2) if as_json else "\n".join(lines))
    planned.check_budget(entry(settings.targets, name, "targets").budget_gb)


@app.command("fill")
def fill_command(
    path: SetName,
    cluster: ClusterOption = None,
    threads: ThreadsOption = None,
    push: Annotated[str | None, typer.Option(help="Then send what is new to this URL.")] = None,
    params: ParamsOption = PARAMS,
    wait: WaitOption = False,
    debug: DebugOption = False,
) -> None:
    """Let the teacher read what is missing, here or on a cluster (without one: the stage cache_targets)."""
    with errors_shown(debug=debug):
        name = _name(path)
        with timed("cache_targets", name):
            from stages.cache_targets import run

            run(name, params, cluster=cluster, threads=threads, wait=wait)
        if push is not None:
            _push(TARGETS / name, push)


@app.command("describe")
def describe_command(path: CacheSource, as_json: JsonOption = False, debug: DebugOption = False) -> None:
    """Say what a cache holds and what made it."""
    with errors_shown(debug=debug):
        from pipeline.cache.describe import describe, summary
        from pipeline.cache.remote import manifest_at

        described = summary(manifest_at(path), path) if _is_url(path) else describe(_folder(Path(path)))
        print(json.dumps(described, indent=2) if as_json else "\n".join(_lines(described)))


@app.command("verify")
def verify_command(path: CacheSource, debug: DebugOption = False) -> None:
    """Read every byte; exit code 0 only where all are as written."""
    with errors_shown(debug=debug):
        from pipeline.cache.remote import verify_at
        from pipeline.cache.verify import verify

        where = path if _is_url(path) else str(_folder(Path(path)))
        problems = verify_at(path) if _is_url(path) else verify(Path(where))
        for problem in problems:
            print(problem, file=sys.stderr)
        print(f"{where}: {f'{len(problems)} problem(s)' if problems else 'every byte is as written'}")
        if problems:
            raise SystemExit(1)


@app.command("repair")
def repair_command(
    path: SetName,
    cluster: ClusterOption = None,
    threads: ThreadsOption = None,
    params: ParamsOption = PARAMS,
    wait: WaitOption = False,
    debug: DebugOption = False,
) -> None:
    """Compute damaged and missing shards again, here or on a cluster, and nothing else."""
    with errors_shown(debug=debug):
        from stages.cache_targets import run

        run(_name(path), params, cluster=cluster, threads=threads, wait=wait, repair=True)


@app.command("merge")
def merge_command(
    name: Annotated[str, typer.Argument(help="An entry of merges in params.yaml.")],
    params: ParamsOption = PARAMS,
    debug: DebugOption = False,
) -> None:
    """Make the caches of several teachers into one; only what is missing is made."""
    with errors_shown(debug=debug):
        from stages.merge import run

        run(name, params)


@app.command("score")
def score_command(
    names: Annotated[list[str], typer.Argument(help="Target sets of params.yaml; several: their ensemble.")],
    split: Annotated[str, typer.Option(help="The split to score over.")] = "dev",
    params: ParamsOption = PARAMS,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Score what teachers said over a split, from their caches."""
    with errors_shown(debug=debug):
        from pipeline.report.scores import score_names, title
        from stages.score import score

        scores = score(names, params, split)
        listing = ", ".join(f"{title(name)} {scores[name]:.2f}" for name in score_names(scores))
        text = f"{listing} over {scores['rows']:,} rows"
        print(json.dumps(scores, indent=2) if as_json else f"{' + '.join(names)} on {split}: {text}")


@app.command("gc")
def gc_command(path: CachePath, wait: WaitOption = False, debug: DebugOption = False) -> None:
    """Delete the shards that no row lies in any more."""
    with errors_shown(debug=debug):
        from pipeline.cache.gc import gc

        freed = gc(_folder(path), wait=wait)
        print(f"{_folder(path)}: {freed / 1e6:,.1f} MB freed")


@app.command("convert")
def convert_command(
    source: CachePath,
    target: Annotated[Path, typer.Argument(help="A folder that does not exist yet.")],
    backend: Annotated[
        str, typer.Option(help="arrow, hdf5 or zarr; with _zstd: an archive, slow to shuffle.")
    ],
    wait: WaitOption = False,
    debug: DebugOption = False,
) -> None:
    """Write a cache again in another kind of file; rows, keys and values stay."""
    with errors_shown(debug=debug):
        from pipeline.cache.convert import convert
        from pipeline.cache.manifest import load_manifest
        from pipeline.progress import track

        folder = _folder(source)
        shards = sum(len(field.shards) for field in load_manifest(folder).fields.values())
        with track(shards, f"convert {folder.name}", unit="shards") as advance:
            convert(folder, target, backend, wait=wait, advance=advance)
        print(f"{target}: {shards} shards, backend {backend}")


@app.command("diff")
def diff_command(
    one: CacheSource,
    other: Annotated[str, typer.Argument(help="Another cache, likewise.")],
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Say what differs in two caches; exit code 0 only where keys and values agree."""
    with errors_shown(debug=debug):
        from pipeline.cache.diff import diff

        differences = diff(_here(one), _here(other))
        if as_json:
            print(json.dumps([difference._asdict() for difference in differences], indent=2))
        else:
            for difference in differences:
                print(difference)
            print(f"{len(differences)} difference(s)" if differences else "keys and values agree")
        if differences:
            raise SystemExit(1)


@app.command("rm")
def rm_command(
    path: CachePath,
    field: Annotated[str | None, typer.Option(help="Delete this field alone.")] = None,
    wait: WaitOption = False,
    debug: DebugOption = False,
) -> None:
    """Delete a cache, or a field of one."""
    with errors_shown(debug=debug):
        from pipeline.cache.remove import remove, remove_field

        folder = _folder(path)
        freed = remove(folder, wait=wait) if field is None else remove_field(folder, field, wait=wait)
        print(f"{folder}: {freed / 1e6:,.1f} MB freed")


@app.command("export")
def export_command(
    path: CachePath,
    target: Annotated[Path, typer.Argument(help="A folder for a Parquet file a split.")],
    field: Annotated[
        list[str] | None, typer.Option(help="A field wanted; again for more. All if none.")
    ] = None,
    debug: DebugOption = False,
) -> None:
    """Write a cache as Parquet, for other tools."""
    with errors_shown(debug=debug):
        from pipeline.cache.manifest import load_manifest
        from pipeline.cache.parquet import export
        from pipeline.progress import track

        folder = _folder(path)
        with track(load_manifest(folder).rows.count, f"export {folder.name}") as advance:
            counts = export(folder, target, fields=field, advance=advance)
        print(f"{target}: " + ", ".join(f"{split} {rows:,} rows" for split, rows in counts.items()))


@app.command("push")
def push_command(
    path: CachePath,
    url: Annotated[str, typer.Argument(help="Where to: s3://bucket/folder, file:///folder, ...")],
    debug: DebugOption = False,
) -> None:
    """Send a cache to a URL; only what is missing there."""
    with errors_shown(debug=debug):
        _push(_folder(path), url)


def _push(folder: Path, url: str) -> None:
    from pipeline.cache.manifest import load_manifest
    from pipeline.cache.remote import push
    from pipeline.progress import track

    size = sum(entry.bytes for entry in load_manifest(folder).files().values())
    with track(size, f"push {folder.name}", unit="bytes") as advance:
        summary = push(folder, url, advance=advance)
    print(f"{url}: " + ", ".join(f"{key} {value:,}" for key, value in summary.items()))


@app.command("pull")
def pull_command(
    url: Annotated[str, typer.Argument(help="Where a cache was pushed to.")],
    path: CachePath,
    wait: WaitOption = False,
    debug: DebugOption = False,
) -> None:
    """Fetch a cache from a URL; only what is missing here, every byte checked."""
    with errors_shown(debug=debug):
        from pipeline.cache.remote import pull

        folder = path if path.is_dir() or len(path.parts) > 1 else TARGETS / path
        summary = pull(url, folder, wait=wait)
        print(f"{folder}: " + ", ".join(f"{key} {value:,}" for key, value in summary.items()))


def _lines(value: Mapping[str, Any], indent: str = "") -> list[str]:
    lines = []
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            lines += [f"{indent}{key}:", *_lines(item, indent + "  ")]
        else:
            lines.append(f"{indent}{key}: {item}")
    return lines
