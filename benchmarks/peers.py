"""Other libraries that store rows, written and read into padded batches, in a process of their own.

Imports nothing of ours: it runs in the peers' environment. It prints the checksums of one pass; then, for
every line that it reads, how long that took again: `read`, `step` (each batch followed by a pause, in which a
student would train) or `write`.
"""

import itertools
import shutil
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

COLUMNS = {"start_logits": 1, "end_logits": 1, "qa_attention": 16}
STEP_S = 0.003
Columns = dict[str, tuple[np.ndarray, np.ndarray]]
# Some rows, each column a list of one array a row.
Rows = dict[str, list[np.ndarray]]
Write = Callable[[Columns, Path], None]
# Given a store, the number of its rows and of those in a batch: all rows, shuffled, a batch at a time.
Open = Callable[[Path, int, int], Callable[[], Iterator[Rows]]]


def rows_of(columns: Columns) -> Iterator[dict[str, np.ndarray]]:
    """The rows one after the other."""
    for row in range(len(next(iter(columns.values()))[1]) - 1):
        yield {name: values[at[row] : at[row + 1]] for name, (values, at) in columns.items()}


def by_index(fetch: Callable[[np.ndarray], Rows], num_rows: int, size: int) -> Callable[[], Iterator[Rows]]:
    """Batches by index, in the order that `benchmarks.loading` takes."""
    order = np.random.default_rng(7).permutation(num_rows)
    return lambda: (fetch(order[start : start + size]) for start in range(0, num_rows, size))


def in_own_order(rows: Callable[[], Iterator[Any]], size: int) -> Callable[[], Iterator[Rows]]:
    """Batches of rows as a library's own shuffle gives them."""

    def read() -> Iterator[Rows]:
        for batch in _batched(rows(), size):
            yield {name: [np.asarray(row[name]) for row in batch] for name in COLUMNS}

    return read


def _batched(rows: Iterator[Any], size: int) -> Iterator[list[Any]]:
    while batch := list(itertools.islice(rows, size)):
        yield batch


def write_datasets(columns: Columns, store: Path) -> None:
    """Hugging Face datasets: an Arrow table on disk."""
    from datasets import Dataset, Features, List, Value, disable_progress_bars

    disable_progress_bars()
    features = Features({name: List(Value("float16")) for name in columns})
    Dataset.from_generator(
        lambda: rows_of(columns), features=features, cache_dir=str(store / "cache")
    ).save_to_disk(str(store / "rows"))


def open_datasets(store: Path, num_rows: int, size: int) -> Callable[[], Iterator[Rows]]:
    """Its numpy format, whole batches by index."""
    from datasets import Dataset

    rows = Dataset.load_from_disk(str(store / "rows")).with_format("numpy")
    return by_index(lambda indices: rows[indices], num_rows, size)


def write_streaming(columns: Columns, store: Path) -> None:
    """MosaicML streaming: MDS shards."""
    # Its picture classes need a torchvision built for the very same torch; nothing here does.
    sys.modules["streaming.vision"] = types.ModuleType("streaming.vision")
    from streaming import MDSWriter

    with MDSWriter(out=str(store), columns={name: "ndarray:float16" for name in columns}) as writer:
        for row in rows_of(columns):
            writer.write(row)


def open_streaming(store: Path, num_rows: int, size: int) -> Callable[[], Iterator[Rows]]:
    """Rows by index, which is faster than its own shuffle."""
    from streaming import StreamingDataset

    rows: Any = StreamingDataset(local=str(store), batch_size=1)

    def fetch(indices: np.ndarray) -> Rows:
        fetched = [rows[int(index)] for index in indices]
        return {name: [row[name] for row in fetched] for name in COLUMNS}

    return by_index(fetch, num_rows, size)


def write_litdata(columns: Columns, store: Path) -> None:
    """LitData: its binary chunks of 64 MB."""
    from litdata.streaming.writer import BinaryWriter

    store.mkdir(parents=True, exist_ok=True)
    writer = BinaryWriter(str(store), chunk_bytes="64MB")
    for number, row in enumerate(rows_of(columns)):
        writer.add_item(number, {name: torch.from_numpy(values.copy()) for name, values in row.items()})
    writer.done()
    writer.merge()


def open_litdata(store: Path, num_rows: int, size: int) -> Callable[[], Iterator[Rows]]:
    """Its own shuffle, which is far faster than rows by index."""
    from litdata import StreamingDataset

    # A generator ends for good; the data set would wait for more when it is asked again at its end.
    return in_own_order(lambda: (row for row in StreamingDataset(str(store), shuffle=True)), size)


def write_lance(columns: Columns, store: Path) -> None:
    """Lance: a columnar data set made for random access."""
    import lance
    import pyarrow as pa

    arrays = [pa.LargeListArray.from_arrays(at, values) for values, at in columns.values()]
    lance.write_dataset(pa.table(arrays, names=list(columns)), str(store), mode="overwrite")


def open_lance(store: Path, num_rows: int, size: int) -> Callable[[], Iterator[Rows]]:
    """Whole batches by index."""
    import lance

    rows = lance.dataset(str(store))

    def fetch(indices: np.ndarray) -> Rows:
        table = rows.take(indices.tolist()).combine_chunks()
        fetched = {}
        for name in COLUMNS:
            column = table.column(name).chunk(0)
            values, offsets = column.values.to_numpy(zero_copy_only=False), column.offsets.to_numpy()
            fetched[name] = [values[start:end] for start, end in itertools.pairwise(offsets)]
        return fetched

    return by_index(fetch, num_rows, size)


def write_webdataset(columns: Columns, store: Path) -> None:
    """WebDataset: a tar file with a .npy member for each value of a row."""
    import webdataset

    store.mkdir(parents=True, exist_ok=True)
    with webdataset.TarWriter(str(store / "rows.tar")) as writer:
        for number, row in enumerate(rows_of(columns)):
            writer.write(
                {"__key__": f"{number:08d}", **{f"{name}.npy": value for name, value in row.items()}}
            )


def open_webdataset(store: Path, num_rows: int, size: int) -> Callable[[], Iterator[Rows]]:
    """Its own shuffle, over a buffer of 1,000 rows."""
    import webdataset

    def rows() -> Iterator[Any]:
        stream = webdataset.WebDataset(str(store / "rows.tar"), shardshuffle=False).shuffle(1000).decode()
        return ({name: row[f"{name}.npy"] for name in COLUMNS} for row in stream)

    return in_own_order(rows, size)


def write_files(columns: Columns, store: Path) -> None:
    """A .npz file a row."""
    store.mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(rows_of(columns)):
        np.savez(store / f"{number}.npz", **row)  # type: ignore[arg-type]


def open_files(store: Path, num_rows: int, size: int) -> Callable[[], Iterator[Rows]]:
    """Files by index."""

    def fetch(indices: np.ndarray) -> Rows:
        fetched = [np.load(store / f"{index}.npz") for index in indices]
        return {name: [row[name] for row in fetched] for name in COLUMNS}

    return by_index(fetch, num_rows, size)


PEERS: dict[str, tuple[Write, Open]] = {
    "datasets": (write_datasets, open_datasets),
    "streaming": (write_streaming, open_streaming),
    "litdata": (write_litdata, open_litdata),
    "lance": (write_lance, open_lance),
    "webdataset": (write_webdataset, open_webdataset),
    "files": (write_files, open_files),
}


def padded(arrays: list[np.ndarray], width: int) -> torch.Tensor:
    """Rows of `width` values a token, as one tensor."""
    lengths = [len(array) // width for array in arrays]
    out = np.zeros((len(arrays), max(lengths), width), np.float16)
    for place, (array, length) in enumerate(zip(arrays, lengths, strict=True)):
        out[place, :length] = array.reshape(length, width)
    return torch.from_numpy(out if width > 1 else out[:, :, 0])


def batches(read: Callable[[], Iterator[Rows]]) -> Iterator[dict[str, torch.Tensor]]:
    """All rows as padded tensors."""
    for rows in read():
        yield {name: padded(list(rows[name]), width) for name, width in COLUMNS.items()}


def checksums(read: Iterator[dict[str, torch.Tensor]]) -> str:
    """As in `benchmarks.loading`: one of the values in their order, one of the values alone."""
    ordered, total, sizes = 0.0, 0.0, 0
    for number, batch in enumerate(read):
        for name in COLUMNS:
            values = float(batch[name].double().sum())
            sizes += batch[name].numel()
            total += values
            ordered += (number % 7 + 1) * values
    return f"{sizes} {ordered:.6e} {total:.6e}"


def main(kind: str, raw: Path, store: Path, size: int) -> None:
    """Store the rows, then do with them what is asked, as often as it is asked."""
    columns = {
        name: (np.load(raw / f"{name}.values.npy", mmap_mode="r"), np.load(raw / f"{name}.offsets.npy"))
        for name in COLUMNS
    }
    num_rows = len(next(iter(columns.values()))[1]) - 1
    write, opened = PEERS[kind]
    write(columns, store)
    read = opened(store, num_rows, size)
    print("=", checksums(batches(read)), flush=True)
    for number, line in enumerate(sys.stdin):
        started = time.perf_counter()
        if line.strip() == "write":
            write(columns, store.with_name(f"{store.name}-{number}"))
        else:
            for _ in batches(read):
                if line.strip() == "step":
                    time.sleep(STEP_S)
        seconds = time.perf_counter() - started
        shutil.rmtree(store.with_name(f"{store.name}-{number}"), ignore_errors=True)
        print("=", seconds, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
