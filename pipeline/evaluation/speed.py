"""How large and how fast a model is."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from transformers import PreTrainedModel

from pipeline.evaluation.reader import BATCH_ROWS, Row, longest_first
from pipeline.models.size import num_parameters, size_mb

Picked = TypeVar("Picked")

_WARM_UP = 3


def size(models: Sequence[PreTrainedModel]) -> dict[str, Any]:
    """Weights and the memory that they take, of all models together."""
    return {"parameters": sum(map(num_parameters, models)), "mb": sum(map(size_mb, models))}


def speed(
    predict: Callable[[Sequence[Row]], object],
    rows: Sequence[Row],
    device: torch.device,
    *,
    latency_rows: int,
    speed_rows: int,
) -> dict[str, Any]:
    """Latency at batch 1 and rows a second at batch 32, from token ids to what `predict` says of a batch.

    Rows are picked evenly over `rows`, so both see the lengths of the whole set. Batches are of like
    lengths, as evaluation reads them. Both are measured after a warm-up on the same rows.
    """
    single = [[row] for row in spread(rows, latency_rows)]
    picked = spread(rows, speed_rows)
    batches = [[picked[index] for index in batch] for batch in longest_first(picked, BATCH_ROWS)]
    latencies = _seconds(predict, single)
    total_s = sum(_seconds(predict, batches))
    return {
        "latency_ms": 1000 * statistics.median(latencies),
        "latency_rows": len(single),
        "rows_per_second": len(picked) / total_s,
        "speed_rows": len(picked),
        "batch_rows": BATCH_ROWS,
        "device": _device(device),
        "threads": torch.get_num_threads(),
    }


def spread(rows: Sequence[Picked], count: int) -> list[Picked]:
    """`count` rows at even distances, all of them where there are fewer."""
    count = min(count, len(rows))
    return [rows[index * len(rows) // count] for index in range(count)]


def _seconds(predict: Callable[[Sequence[Row]], object], batches: Sequence[Sequence[Row]]) -> list[float]:
    for batch in batches[:_WARM_UP]:
        predict(batch)
    seconds = []
    for batch in batches:
        started = time.perf_counter()
        # Predictions come back to host memory, so the device has finished.
        predict(batch)
        seconds.append(time.perf_counter() - started)
    return seconds


def _device(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
