"""Other libraries that store rows, read in shuffled order into padded batches, in a process of their own.

Imports nothing of ours: it runs in the peers' environment. It prints a checksum of one pass, then, for every
line that it reads, how long another pass took.
"""

import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

COLUMNS = {"start_logits": 1, "end_logits": 1, "qa_attention": 16}
Columns = dict[str, tuple[np.ndarray, np.ndarray]]
# All rows of a batch, each column a list of one array a row.
Fetch = Callable[[np.ndarray], dict[str, list[np.ndarray]]]


def rows_of(columns: Columns) -> Iterator[dict[str, np.ndarray]]:
    """The rows one after the other."""
    for row in range(len(next(iter(columns.values()))[1]) - 1):
        yield {name: values[at[row] : at[row + 1]] for name, (values, at) in columns.items()}


def datasets(columns: Columns, store: Path) -> Fetch:
    """Hugging Face datasets: an Arrow table on disk, its numpy format, whole batches by index."""
    from datasets import Dataset, Features, List, Value, disable_progress_bars

    disable_progress_bars()
    features = Features({name: List(Value("float16")) for name in columns})
    Dataset.from_generator(
        lambda: rows_of(columns), features=features, cache_dir=str(store / "cache")
    ).save_to_disk(str(store / "rows"))
    rows = Dataset.load_from_disk(str(store / "rows")).with_format("numpy")
    return lambda indices: rows[indices]


def streaming(columns: Columns, store: Path) -> Fetch:
    """MosaicML streaming: MDS shards, rows by index, which is faster than its own shuffle."""
    # Its picture classes need a torchvision built for the very same torch; nothing here does.
    sys.modules["streaming.vision"] = types.ModuleType("streaming.vision")
    from streaming import MDSWriter, StreamingDataset

    with MDSWriter(out=str(store), columns={name: "ndarray:float16" for name in columns}) as writer:
        for row in rows_of(columns):
            writer.write(row)
    rows: Any = StreamingDataset(local=str(store), batch_size=1)

    def fetch(indices: np.ndarray) -> dict[str, list[np.ndarray]]:
        fetched = [rows[int(index)] for index in indices]
        return {name: [row[name] for row in fetched] for name in columns}

    return fetch


def padded(arrays: list[np.ndarray], width: int) -> torch.Tensor:
    """Rows of `width` values a token, as one tensor."""
    lengths = [len(array) // width for array in arrays]
    out = np.zeros((len(arrays), max(lengths), width), np.float16)
    for place, (array, length) in enumerate(zip(arrays, lengths, strict=True)):
        out[place, :length] = array.reshape(length, width)
    return torch.from_numpy(out if width > 1 else out[:, :, 0])


def batches(fetch: Fetch, num_rows: int, size: int) -> Iterator[dict[str, torch.Tensor]]:
    """All rows, shuffled as in `benchmarks.loading`."""
    order = np.random.default_rng(7).permutation(num_rows)
    for start in range(0, num_rows, size):
        rows = fetch(order[start : start + size])
        yield {name: padded(list(rows[name]), width) for name, width in COLUMNS.items()}


def checksum(read: Iterator[dict[str, torch.Tensor]]) -> str:
    """As in `benchmarks.loading`."""
    total, weight = 0.0, 0
    for number, batch in enumerate(read):
        for name in COLUMNS:
            values = batch[name].double()
            weight += values.numel()
            total += (number % 7 + 1) * float(values.sum())
    return f"{weight} {total:.6e}"


def main(kind: str, raw: Path, store: Path, size: int) -> None:
    """Store the rows, then read them as often as asked."""
    columns = {
        name: (np.load(raw / f"{name}.values.npy", mmap_mode="r"), np.load(raw / f"{name}.offsets.npy"))
        for name in COLUMNS
    }
    num_rows = len(next(iter(columns.values()))[1]) - 1
    fetch = {"datasets": datasets, "streaming": streaming}[kind](columns, store)
    print("=", checksum(batches(fetch, num_rows, size)), flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        for _ in batches(fetch, num_rows, size):
            pass
        print("=", time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
