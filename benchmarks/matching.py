"""What a training step costs that also follows four layers of a teacher, against logits alone.

A fresh T4-tiny (4 layers, 312 wide) beside a teacher of width 768; `hidden_mse`, projected, and `nst` on the
four layers that TextBrewer matches above the embeddings; rows of 128 tokens. The whole step counts.
"""

import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from torch.utils.flop_counter import FlopCounterMode

from benchmarks.pairs import Pair, Ratio, interleaved
from benchmarks.stepping import SOFT, Side
from benchmarks.synthetic import QUESTION, WIDTH, Targets

LENGTH = 128
BATCH = 16
LAYERS = {1: 3, 2: 6, 3: 9, 4: 12}
MATCHES = [
    {
        "loss": loss,
        "from": "teacher",
        "student_layer": own,
        "teacher_layer": theirs,
        **({"projection": {"kind": "linear", "in": 312, "out": WIDTH}} if loss == "hidden_mse" else {}),
    }
    for loss in ("hidden_mse", "nst")
    for own, theirs in LAYERS.items()
]


def _sides(folder: Path, steps: int) -> tuple[Side, Side]:
    """A student that follows layers too, and one that follows logits alone, with rows for some steps each."""
    passage = LENGTH - QUESTION - 3
    targets = Targets(BATCH * steps, shortest=passage, longest=passage, layers=tuple(LAYERS.values()))
    targets.write_cache(folder / "cache")
    return Side(folder, targets, [SOFT, *MATCHES], BATCH), Side(folder, targets, [SOFT], BATCH)


@cache
def added_operations() -> float:
    """The floating-point operations that matches add to a step, as a share of those without."""
    counted = []
    with tempfile.TemporaryDirectory() as name:
        for side in _sides(Path(name), 1):
            with FlopCounterMode(display=False) as counter:
                side.step()
            counted.append(counter.get_total_flops())
    matched, plain = counted
    return matched / plain - 1


def measure(pairs: int) -> Iterator[Pair]:
    """Seconds a step with matches, and with logits alone."""
    with tempfile.TemporaryDirectory() as name:
        matched, plain = _sides(Path(name), pairs + 1)
        yield from interleaved(matched.step, plain.step, pairs)


def measure_shares(pairs: int) -> Iterator[Pair]:
    """The time that matches add to a step as a share of the step without, and the same of operations."""
    operations = added_operations()
    for matched, plain in measure(pairs):
        yield matched / plain - 1, operations


RATIOS = (
    Ratio(
        name="matching",
        ours="a step from cached logits and four cached layers",
        other="a step from cached logits",
        direction="at most",
        bar=1.6,
        measure=measure,
        unit="s a step",
    ),
    Ratio(
        name="matching_for_its_operations",
        ours="the share of time that four layers add",
        other="the share of operations that they add",
        direction="at most",
        bar=1.5,
        measure=measure_shares,
        unit="of a step",
    ),
)
