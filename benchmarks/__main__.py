"""`python -m benchmarks [NAME...]`: measure the ratios of the named benchmarks, or of all."""

import argparse
import json
import sys
from typing import Any

from benchmarks import BENCHMARKS
from benchmarks.pairs import FEWEST_PAIRS, Ratio, run
from pipeline.errors import ParamsError, PipelineError
from pipeline.registry import did_you_mean


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS.names())}, or of one ratio"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a ratio, one a line")
    parser.add_argument(
        "--pairs", type=int, default=FEWEST_PAIRS, help=f"interleaved pairs a ratio, at least {FEWEST_PAIRS}"
    )
    arguments = parser.parse_args()
    if arguments.pairs < FEWEST_PAIRS:
        parser.error(f"--pairs: at least {FEWEST_PAIRS}, got {arguments.pairs}")
    return arguments


def _wanted(names: list[str]) -> list[Ratio]:
    """The ratios that `names` name; a benchmark's name stands for all of its ratios."""
    if names and all(name in BENCHMARKS for name in names):
        return [ratio for name in names for ratio in BENCHMARKS.load(name)]
    ratios = {name: list(BENCHMARKS.load(name)) for name in BENCHMARKS.names()}
    known = ratios | {ratio.name: [ratio] for group in ratios.values() for ratio in group}
    for name in names:
        if name not in known:
            raise ParamsError(
                "benchmarks",
                expected="the name of a benchmark or ratio",
                got=repr(name),
                remedy=did_you_mean(name, known),
            )
    return [ratio for name in names or ratios for ratio in known[name]]


def _line(result: dict[str, Any]) -> str:
    if result["ratio"] is None:
        return f"{result['name']}: not measured: {result['reason']}"
    bar = "no bar" if result["bar"] is None else f"{result['direction']} {result['bar']:g}"
    verdict = {True: "holds", False: "DOES NOT HOLD", None: ""}[result["holds"]]
    interval = f"[{result['low']:.3g}, {result['high']:.3g}]"
    return (
        f"{result['name']}: {result['ratio']:.3g} {interval} {bar} {verdict}\n"
        f"    {result['of']} {result['ours']:.4g} {result['unit']},"
        f" {result['against']} {result['other']:.4g} {result['unit']}, {result['pairs']} pairs"
    )


def main() -> int:
    """Measure and print; 1 where a ratio misses its bar, 2 where a name is unknown."""
    arguments = _parsed()
    missed = False
    try:
        for ratio in _wanted(arguments.names):
            result = run(ratio, arguments.pairs)
            missed = missed or result["holds"] is False
            text = json.dumps(result) if arguments.json else _line(result)
            print(text, flush=True)
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
