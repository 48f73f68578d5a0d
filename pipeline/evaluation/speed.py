"""How large and how fast a reader is."""

import statistics
import time
from collections.abc import Sequence
from typing import Any, TypeVar

import torch

from pipeline.evaluation.reader import BATCH_ROWS, Reader, longest_first
from pipeline.evaluation.rows import TokenRow
from pipeline.models.size import num_parameters, size_mb

Row = TypeVar("Row")

_WARM_UP = 3


def size(reader: Reader) -> dict[str, Any]:
    """Weights and the memory that they take."""
    return {"parameters": num_parameters(reader.model), "mb": size_mb(reader.model)}


def speed(
    reader: Reader,
    rows: Sequence[TokenRow],
    *,
    max_answer_tokens: int,
    latency_rows: int,
    speed_rows: int,
) -> dict[str, Any]:
    """Latency at batch 1 and rows a second at batch 32, from token ids to character spans.

    Rows are picked evenly over `rows`, so both see the lengths of the whole set. Batches are of like
    lengths, as evaluation reads them. Both are measured after a warm-up on the same rows.
    """
    single = [[row] for row in spread(rows, latency_rows)]
    picked = spread(rows, speed_rows)
    batches = [[picked[index] for index in batch] for batch in longest_first(picked, BATCH_ROWS)]
    latencies = _seconds(reader, single, max_answer_tokens)
    total_s = sum(_seconds(reader, batches, max_answer_tokens))
    return {
        "latency_ms": 1000 * statistics.median(latencies),
        "latency_rows": len(single),
        "rows_per_second": len(picked) / total_s,
        "speed_rows": len(picked),
        "batch_rows": BATCH_ROWS,
        "device": _device(reader),
        "threads": torch.get_num_threads(),
    }


def spread(rows: Sequence[Row], count: int) -> list[Row]:
    """`count` rows at even distances, all of them where there are fewer."""
    count = min(count, len(rows))
    return [rows[index * len(rows) // count] for index in range(count)]


def _seconds(reader: Reader, batches: Sequence[Sequence[TokenRow]], max_answer_tokens: int) -> list[float]:
    for batch in batches[:_WARM_UP]:
        reader.spans(batch, max_answer_tokens=max_answer_tokens)
    seconds = []
    for batch in batches:
        started = time.perf_counter()
        # The spans come back to host memory, so the device has finished.
        reader.spans(batch, max_answer_tokens=max_answer_tokens)
        seconds.append(time.perf_counter() - started)
    return seconds


def _device(reader: Reader) -> str:
    return torch.cuda.get_device_name(reader.device) if reader.device.type == "cuda" else "cpu"
