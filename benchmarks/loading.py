"""How fast span logits and attention come out of a cache in shuffled order, as padded torch batches of 32.

Rows as in `benchmarks.synthetic`, warm pages, one process a side. Every side gives the same bytes, which is
checked before anything is timed.
"""

import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import torch

from benchmarks.pairs import Pair, Ratio, UnmeasurableError, interleaved
from benchmarks.synthetic import COLUMNS, Targets
from pipeline.cache.gather import ColumnReader
from pipeline.cache.ragged import Ragged
from pipeline.cache.reader import TargetCache

NUM_ROWS = 20_000
BATCH = 32
ENVIRONMENT = Path(".coldbrew/benchmarks/peers")
PEERS = Path(__file__).with_name("peers.py")
STREAMING = "mosaicml-streaming==0.13.0"


def _ours(folder: Path, targets: Targets) -> Callable[[], Iterator[dict[str, torch.Tensor]]]:
    cache = TargetCache.open(folder / "cache", expected=targets.write_cache(folder / "cache"))
    positions = cache.positions(targets.identities(), [0] * targets.num_rows)

    def read() -> Iterator[dict[str, torch.Tensor]]:
        for rows in _shuffled(targets.num_rows):
            batch = cache.batch(positions[rows], tuple(COLUMNS))
            yield {name: torch.from_numpy(batch[name]) for name in COLUMNS}

    return read


def _raw(folder: Path, targets: Targets) -> Callable[[], Iterator[dict[str, torch.Tensor]]]:
    """Plain arrays, mapped, and the compiled gather that the cache uses too."""
    readers = {
        name: ColumnReader(
            [Ragged(*(_mapped(folder, f"{name}.{part}") for part in ("values", "offsets")))], width=width
        )
        for name, width in COLUMNS.items()
    }

    def read() -> Iterator[dict[str, torch.Tensor]]:
        for rows in _shuffled(targets.num_rows):
            yield {name: torch.from_numpy(reader.padded(rows)) for name, reader in readers.items()}

    return read


def _mapped(folder: Path, name: str) -> np.ndarray:
    array: np.ndarray = np.load(folder / "raw" / f"{name}.npy", mmap_mode="r")
    return array


def _shuffled(num_rows: int) -> Iterator[np.ndarray]:
    order = np.random.default_rng(7).permutation(num_rows)
    return (order[start : start + BATCH] for start in range(0, num_rows, BATCH))


def checksum(batches: Iterator[dict[str, torch.Tensor]]) -> str:
    """What a pass over all batches gave: shapes and sums, in order."""
    total, weight = 0.0, 0
    for number, batch in enumerate(batches):
        for name in COLUMNS:
            values = batch[name].double()
            weight += values.numel()
            total += (number % 7 + 1) * float(values.sum())
    return f"{weight} {total:.6e}"


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

    def seconds(self) -> float:
        """How long one pass took there."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
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
    if not (ENVIRONMENT / "complete").is_file():
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
            STREAMING,
        ]
        done = subprocess.run(install, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UnmeasurableError(f"{STREAMING} could not be installed: {_last_line(done.stderr)}")
        (ENVIRONMENT / "complete").touch()
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


def _exhausted(read: Callable[[], Iterator[object]]) -> Callable[[], None]:
    def work() -> None:
        for _ in read():
            pass

    return work


def measure_raw(pairs: int, num_rows: int = NUM_ROWS) -> Iterator[Pair]:
    """Ours against mapped arrays with the same gather."""
    with _stored(num_rows) as (folder, targets):
        ours, other = _ours(folder, targets), _raw(folder, targets)
        _checked(checksum(ours()), checksum(other()))
        yield from interleaved(_exhausted(ours), _exhausted(other), pairs)


def measure_peer(kind: str, pairs: int, num_rows: int = NUM_ROWS) -> Iterator[Pair]:
    """Ours against another library, each reading the same rows in the same order."""
    with _stored(num_rows) as (folder, targets):
        ours = _ours(folder, targets)
        with Peer(_peer_python(kind), kind, folder / "raw", folder / "store") as peer:
            _checked(checksum(ours()), peer.checksum)
            clock: list[float] = []
            for ours_s, _ in interleaved(_exhausted(ours), lambda: clock.append(peer.seconds()), pairs):
                yield ours_s, clock[-1]


RATIOS = (
    Ratio(
        name="loading_raw",
        ours="shuffled rows from a cache",
        other="mapped raw columns, same gather",
        direction="at least",
        bar=0.8,
        measure=measure_raw,
        unit=f"s for {NUM_ROWS:,} rows",
    ),
    *(
        Ratio(
            name=f"loading_{kind}",
            ours="shuffled rows from a cache",
            other=other,
            direction="at least",
            bar=10.0,
            measure=partial(measure_peer, kind),
            unit=f"s for {NUM_ROWS:,} rows",
        )
        for kind, other in (("datasets", "Hugging Face datasets"), ("streaming", "MosaicML streaming"))
    ),
)
