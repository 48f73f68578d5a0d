"""What every stage does around its one call: options, timing, errors that end in an exit code."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import psutil
import typer

from pipeline.errors import ParamsError, PipelineError
from pipeline.registry import did_you_mean
from stages.clusters import ClusterOption, ThreadsOption
from stages.folders import PARAMS, WORK

Name = Annotated[str, typer.Argument(help="The entry of params.yaml to work on.")]
ParamsOption = Annotated[Path, typer.Option("--params", help="The params file.", show_default=True)]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]

# As a shell reports a process that SIGPIPE ended.
_BROKEN_PIPE = 141

TIMES = WORK / "stage_times.jsonl"

Entry = TypeVar("Entry")


def entry(section: Mapping[str, Entry], name: str, path: str) -> Entry:
    """The entry called `name` of a section of params.

    Raises:
        ParamsError: There is none.
    """
    if name not in section:
        raise ParamsError(
            path, expected="the name of an entry", got=repr(name), remedy=did_you_mean(name, section)
        )
    return section[name]


@contextmanager
def errors_shown(*, debug: bool) -> Iterator[None]:
    """Turn an error that a user can act on into one message and exit code 1."""
    try:
        yield
    except PipelineError as error:
        if debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from error
    except KeyboardInterrupt as error:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        raise SystemExit(130) from error
    except BrokenPipeError as error:
        # Whoever read the output has enough (`| head`): nothing went wrong, and nobody is there to be told.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(_BROKEN_PIPE) from error
    except Exception as error:
        if debug:
            raise
        text = f"error: {type(error).__name__}: {error}\n(unexpected; --debug shows where)"
        print(text, file=sys.stderr)
        raise SystemExit(1) from error


@contextmanager
def timed(stage: str, name: str) -> Iterator[None]:
    """Note how long a stage took, the start of its process included."""
    started = psutil.Process(os.getpid()).create_time()
    yield
    record = {"stage": stage, "name": name, "seconds": round(time.time() - started, 2), "ended": time.time()}
    TIMES.parent.mkdir(exist_ok=True)
    with TIMES.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
    print(f"{stage} {name}: done in {record['seconds']:.1f} s", file=sys.stderr)


def command(stage: str, run: Callable[[str, Path], None]) -> Callable[[str, Path, bool], None]:
    """The command line of a stage whose work is `run(name, params)`."""

    def main(name: Name, params: ParamsOption = PARAMS, debug: DebugOption = False) -> None:
        with errors_shown(debug=debug), timed(stage, name):
            run(name, params)

    main.__doc__ = run.__doc__
    return main


def spread_command(stage: str, run: Callable[..., None]) -> Callable[..., None]:
    """The command line of a stage whose work a cluster can do: `run(name, params, cluster, threads)`."""

    def main(
        name: Name,
        cluster: ClusterOption = None,
        threads: ThreadsOption = None,
        params: ParamsOption = PARAMS,
        debug: DebugOption = False,
    ) -> None:
        with errors_shown(debug=debug), timed(stage, name):
            run(name, params, cluster=cluster, threads=threads)

    main.__doc__ = run.__doc__
    return main


def start(stage: str, run: Callable[[str, Path], None]) -> None:
    """Run a stage as `python -m stages.<stage> NAME`."""
    typer.run(command(stage, run))


def start_without_name(stage: str, run: Callable[[Path], None]) -> None:
    """Run a stage that works on everything as `python -m stages.<stage>`."""

    def main(params: ParamsOption = PARAMS, debug: DebugOption = False) -> None:
        with errors_shown(debug=debug), timed(stage, "all"):
            run(params)

    main.__doc__ = run.__doc__
    typer.run(main)
