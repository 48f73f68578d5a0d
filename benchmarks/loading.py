"""How fast targets go into a cache, and come out in shuffled order as padded torch batches of 32.

Rows as in `benchmarks.synthetic`, warm pages, one process a side. Every side gives the same values, which is
checked before anything is timed; libraries that shuffle as they like, in their own order.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
import torch

from benchmarks.pairs import Pair, Ratio, UnmeasurableError, interleaved
from benchmarks.peers import STEP_S
from benchmarks.synthetic import COLUMNS, Targets
from pipeline.cache.gather import ColumnReader, Gather
from pipeline.cache.ragged import Ragged
from pipeline.cache.reader import TargetCache
from pipeline.training.prefetch import Prefetch

NUM_ROWS = 20_000
BATCH = 32
PASSES = 20
ENVIRONMENT = Path(".coldbrew/benchmarks/peers")
PEERS = Path(__file__).with_name("peers.py")
PACKAGES = ("mosaicml-streaming==0.13.0", "litdata==0.2.76", "pylance==14.0.2", "webdataset==1.0.2")


class Kind(NamedTuple):
    """Another library: its name, and the bars for reading and writing beside it."""

    name: str
    reads: float | None
    ordered: bool = True
    writes: float | None = 2.0


KINDS = {
    "datasets": Kind("Hugging Face datasets, whole batches by index", 10.0),
    "streaming": Kind("MosaicML streaming, rows by index", 10.0),
    "litdata": Kind("LitData, its own shuffle", 5.0, ordered=False),
    "lance": Kind("Lance, whole batches by index", 15.0),
    "webdataset": Kind("WebDataset, its own shuffle over 1,000 rows", None, ordered=False),
    "files": Kind("a .npz file a row", None, writes=None),
}


def _ours(
    folder: Path, targets: Targets, backend: str = "arrow"
) -> Callable[[], Iterator[dict[str, torch.Tensor]]]:
    cache = TargetCache.open(folder / "cache", expected=targets.write_cache(folder / "cache", backend))
    positions = cache.positions(targets.identities(), [0] * targets.num_rows)

    def read() -> Iterator[dict[str, torch.Tensor]]:
        for rows in _shuffled(targets.num_rows):
            batch = cache.batch(positions[rows], tuple(COLUMNS))
            yield {name: torch.from_numpy(batch[name]) for name in COLUMNS}

    return read


def _raw(folder: Path, targets: Targets) -> Callable[[], Iterator[dict[str, torch.Tensor]]]:
    """Plain arrays, mapped, and the compiled gather of all columns at once that the cache uses too."""
    parts = ("values", "offsets")
    gather = Gather(
        [
            ColumnReader(
                [Ragged(*(_mapped(folder, f"{name}.{part}") for part in parts))],
                width=width if width > 1 else None,
            )
            for name, width in COLUMNS.items()
        ]
    )

    def read() -> Iterator[dict[str, torch.Tensor]]:
        for rows in _shuffled(targets.num_rows):
            columns, _ = gather(rows)
            yield {name: torch.from_numpy(column) for name, column in zip(COLUMNS, columns, strict=True)}

    return read


def _mapped(folder: Path, name: str) -> np.ndarray:
    array: np.ndarray = np.load(folder / "raw" / f"{name}.npy", mmap_mode="r")
    return array


def _shuffled(num_rows: int) -> Iterator[np.ndarray]:
    order = np.random.default_rng(7).permutation(num_rows)
    return (order[start : start + BATCH] for start in range(0, num_rows, BATCH))


def checksum(batches: Iterator[dict[str, torch.Tensor]], *, ordered: bool = True) -> str:
    """What a pass over all batches gave: shapes and sums, in their order or whatever that is."""
    ordered_sum, total, sizes = 0.0, 0.0, 0
    for number, batch in enumerate(batches):
        for name in COLUMNS:
            values = float(batch[name].double().sum())
            sizes += batch[name].numel()
            total += values
            ordered_sum += (number % 7 + 1) * values
    return f"{sizes} {ordered_sum:.6e} {total:.6e}" if ordered else f"{total:.6e}"


class Peer:
    """Another library in a process of its own, that reads all rows whenever it is asked to."""

    def __init__(self, python: Path, kind: str, raw: Path, store: Path) -> None:
        arguments = [str(python), str(PEERS), kind, str(raw), str(store), str(BATCH)]
        self._process = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"},
        )
        self.checksum = self._answer()

    def seconds(self, work: str) -> float:
        """Of `read`: all rows, `step`: the same with a pause a batch, `write`: how long it took there."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{work}\n")
        self._process.stdin.flush()
        return float(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("= "):
                return line[2:].strip()
        _, errors = self._process.communicate()
        raise UnmeasurableError(f"the peer's process ended: {_last_line(errors)}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()


def _peer_python(kind: str) -> Path:
    """An interpreter that can import the peer; builds its environment where there is none."""
    if kind == "datasets":
        return Path(sys.executable)
    python = ENVIRONMENT / "bin" / "python"
    complete = ENVIRONMENT / "complete"
    if not (complete.is_file() and complete.read_text() == "\n".join(PACKAGES)):
        venv.create(ENVIRONMENT, with_pip=True, clear=True)
        # It sees our packages and adds its own before them: torch stays the build that is here.
        site = next((ENVIRONMENT / "lib").glob("python*")) / "site-packages"
        (site / "ours.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
        constraints = ENVIRONMENT / "constraints.txt"
        constraints.write_text(f"torch=={torch.__version__.split('+')[0]}\n")
        install = [
            str(python),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--constraint",
            str(constraints),
            *PACKAGES,
        ]
        done = subprocess.run(install, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UnmeasurableError(f"the peers could not be installed: {_last_line(done.stderr)}")
        complete.write_text("\n".join(PACKAGES))
    return python


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "no message")


@contextmanager
def _stored(num_rows: int) -> Iterator[tuple[Path, Targets]]:
    with tempfile.TemporaryDirectory() as name:
        targets = Targets(num_rows)
        targets.write_raw(Path(name) / "raw")
        yield Path(name), targets


def _checked(mine: str, theirs: str) -> None:
    if mine != theirs:
        raise UnmeasurableError(f"the two sides do not give the same values: {mine} and {theirs}")


def _exhausted(read: Callable[[], Iterator[object]], pause_s: float = 0.0) -> Callable[[], None]:
    """A pass over all batches; with a pause after each, the next ones are read behind it meanwhile."""

    def work() -> None:
        if not pause_s:
            for _ in read():
                pass
            return
        for _ in Prefetch(read()):
            time.sleep(pause_s)

    return work


def measure_raw(pairs: int, num_rows: int = NUM_ROWS, *, backend: str = "arrow") -> Iterator[Pair]:
    """Ours against mapped arrays with the same gather."""
    with _stored(num_rows) as (folder, targets):
        ours, other = _ours(folder, targets, backend), _raw(folder, targets)
        _checked(checksum(ours()), checksum(other()))
        yield from interleaved(_repeated(_exhausted(ours)), _repeated(_exhausted(other)), pairs)


def _repeated(work: Callable[[], None]) -> Callable[[], None]:
    """Passes enough to take longer than a machine's hiccups."""

    def often() -> None:
        for _ in range(PASSES):
            work()

    return often


def measure_peer(kind: str, work: str, pairs: int, num_rows: int = NUM_ROWS) -> Iterator[Pair]:
    """Ours against another library, each reading or writing the same rows."""
    with _stored(num_rows) as (folder, targets):
        read = _ours(folder, targets)
        with Peer(_peer_python(kind), kind, folder / "raw", folder / "store") as peer:
            ordered = KINDS[kind].ordered
            theirs = peer.checksum if ordered else peer.checksum.split()[-1]
            _checked(checksum(read(), ordered=ordered), theirs)
            ours = {
                "read": _exhausted(read),
                "step": _exhausted(read, STEP_S),
                "write": lambda: _write(folder / "written", targets),
            }[work]
            clock: list[float] = []

            def other() -> None:
                # What we wrote goes while no clock runs, as what the peer wrote does: on a machine that gives
                # unused memory back, each new file would otherwise wait for pages that the peer gets warm.
                shutil.rmtree(folder / "written", ignore_errors=True)
                clock.append(peer.seconds(work))

            for ours_s, _ in interleaved(ours, other, pairs):
                yield ours_s, clock[-1]


def _write(folder: Path, targets: Targets) -> None:
    """Fill a cache that is new; with sides that alternate, two may follow one another."""
    folder.mkdir(exist_ok=True)
    targets.write_cache(Path(tempfile.mkdtemp(dir=folder)) / "cache")


RATIOS = (
    *(
        Ratio(
            name=name,
            ours=f"shuffled rows from a cache ({backend})",
            other="mapped raw columns, same gather",
            direction="at least",
            bar=0.9,
            measure=partial(measure_raw, backend=backend),
            unit=f"s for {PASSES} x {NUM_ROWS:,} rows",
        )
        for name, backend in (
            ("loading_raw", "arrow"),
            ("loading_raw_hdf5", "hdf5"),
            ("loading_raw_zarr", "zarr"),
        )
    ),
    *(
        Ratio(
            name=name.format(kind),
            ours=ours,
            other=other.name,
            direction="at least",
            bar=bar,
            measure=partial(measure_peer, kind, work),
            unit=f"s for {NUM_ROWS:,} rows",
        )
        for kind, other in KINDS.items()
        for name, work, ours, bar in (
            ("loading_{}", "read", "shuffled rows from a cache", other.reads),
            ("loading_{}_with_step", "step", f"the same, with a step of {1000 * STEP_S:g} ms a batch", None),
            ("writing_{}", "write", "filling a cache, keys and checksums included", other.writes),
        )
    ),
)
