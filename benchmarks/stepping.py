"""What a training step costs with cached logits beside gold labels, against gold labels alone.

A fresh BERT of 4 layers, 312 wide; rows of about 200 tokens; the whole step counts: reading, joining,
aligning, forward, backward, optimizer. Both sides read the same rows in the same order.
"""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from transformers import (
    BertConfig,
    BertForQuestionAnswering,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from benchmarks.pairs import Pair, Ratio
from benchmarks.synthetic import Targets
from pipeline.cache.reader import TargetCache
from pipeline.objectives.declarations import needs
from pipeline.objectives.objective import build_objective
from pipeline.training.stream import Stream
from pipeline.training.stream import Targets as Joined
from pipeline.training.trainer import DistillationTrainer

VOCABULARY = 30_522
WARM_STEPS, TIMED_STEPS = 1, 4
GOLD = {"loss": "gold", "weight": 0.5}
SOFT = {"loss": "kd_kl", "from": "teacher", "weight": 0.5, "temperature": 2.0}


class _Clock(TrainerCallback):
    """Seconds from the end of the warm steps to the end of the last."""

    started = ended = 0.0

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.ended = time.perf_counter()
        if state.global_step == WARM_STEPS:
            self.started = self.ended


class Side:
    """One way to train: a student and its rows."""

    def __init__(
        self, folder: Path, targets: Targets, terms: Sequence[Mapping[str, Any]], cache: Path, batch_size: int
    ) -> None:
        joined = {}
        for alias, (fields, columns) in needs(terms).items():
            source = TargetCache.open(cache)
            positions = source.positions(targets.identities(), [0] * targets.num_rows)
            assert set(fields) <= set(source.fields)
            joined[alias] = Joined(source, positions, columns)
        shape = BertConfig(
            vocab_size=VOCABULARY,
            num_hidden_layers=4,
            hidden_size=312,
            intermediate_size=1200,
            num_attention_heads=12,
        )
        arguments = TrainingArguments(
            output_dir=str(folder),
            disable_tqdm=True,
            save_strategy="no",
            logging_strategy="no",
            max_steps=WARM_STEPS + TIMED_STEPS,
            per_device_train_batch_size=batch_size,
        )
        self._clock = _Clock()
        self._trainer = DistillationTrainer(
            BertForQuestionAnswering(shape),
            arguments,
            stream=Stream(targets.inputs(VOCABULARY, "teacher"), joined),
            objective=build_objective(terms),
        )
        self._trainer.add_callback(self._clock)

    def seconds(self) -> float:
        """Seconds a step."""
        self._trainer.train()
        return (self._clock.ended - self._clock.started) / TIMED_STEPS


def measure(batch_size: int, pairs: int) -> Iterator[Pair]:
    """Seconds a step with cached logits, and with gold labels alone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        targets = Targets(batch_size * (WARM_STEPS + TIMED_STEPS), shortest=140, longest=220)
        targets.write_cache(folder / "cache")
        cached, gold = (
            Side(folder / f"run-{len(terms)}", targets, terms, folder / "cache", batch_size)
            for terms in ([GOLD, SOFT], [GOLD])
        )
        cached.seconds()
        gold.seconds()
        for number in range(pairs):
            if number % 2:
                gold_s = gold.seconds()
                yield cached.seconds(), gold_s
            else:
                cached_s = cached.seconds()
                yield cached_s, gold.seconds()


RATIOS = tuple(
    Ratio(
        name=f"stepping_{batch_size}",
        ours="a step from cached logits and gold labels",
        other="a step from gold labels",
        direction="at most",
        bar=1.05,
        measure=partial(measure, batch_size),
        unit="s a step",
    )
    for batch_size in (16, 32)
)
