"""What a training step costs with cached logits beside gold labels, against gold labels alone.

A fresh BERT of 4 layers, 312 wide; rows of about 200 tokens; the whole step counts: reading, joining,
aligning, forward, backward, optimizer. Both sides read the same rows in the same order.
"""

import itertools
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig, BertForQuestionAnswering, TrainingArguments

from benchmarks.pairs import Pair, Ratio, interleaved
from benchmarks.synthetic import Targets
from pipeline.cache.manifest import load_manifest
from pipeline.cache.reader import TargetCache
from pipeline.objectives.needs import needs
from pipeline.objectives.objective import build_objective
from pipeline.training.stream import Stream
from pipeline.training.stream import Targets as Joined
from pipeline.training.trainer import DistillationTrainer

VOCABULARY = 30_522
STEPS = 4
GOLD = {"loss": "gold", "weight": 0.5}
SOFT = {"loss": "kd_kl", "from": "teacher", "weight": 0.5, "temperature": 2.0}


class Side:
    """One way to train: a student and its rows, stepped by hand so that two sides can take turns."""

    def __init__(
        self, folder: Path, targets: Targets, terms: Sequence[Mapping[str, Any]], batch_size: int
    ) -> None:
        joined = {}
        held = {name: field.options for name, field in load_manifest(folder / "cache").fields.items()}
        for alias, (fields, columns) in needs(terms, held={"teacher": held}).items():
            source = TargetCache.open(folder / "cache")
            assert set(fields) <= set(source.fields)
            positions = source.positions(targets.identities(), [0] * targets.num_rows)
            joined[alias] = Joined(source, positions, columns)
        shape = BertConfig(
            vocab_size=VOCABULARY,
            num_hidden_layers=4,
            hidden_size=312,
            intermediate_size=1200,
            num_attention_heads=12,
        )
        arguments = TrainingArguments(
            output_dir=str(folder / "run"), disable_tqdm=True, per_device_train_batch_size=batch_size
        )
        self._model = BertForQuestionAnswering(shape)
        self._trainer = DistillationTrainer(
            self._model,
            arguments,
            stream=Stream(targets.inputs(VOCABULARY, "teacher"), joined),
            objective=build_objective(terms, held={"teacher": held}),
        )
        self._trainer.create_optimizer_and_scheduler(targets.num_rows)
        self._batches = iter(self._trainer.get_train_dataloader())

    def step(self) -> None:
        """What the trainer does for one optimizer step."""
        trainer = self._trainer
        assert trainer.optimizer is not None
        assert trainer.lr_scheduler is not None
        batches, counts = trainer.get_batch_samples(self._batches, 1, trainer.args.device)
        trainer.training_step(self._model, batches[0], counts)
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), trainer.args.max_grad_norm)
        trainer.optimizer.step()
        trainer.lr_scheduler.step()
        self._model.zero_grad()
        if trainer.args.device.type == "cuda":
            torch.cuda.synchronize()


def measure(batch_size: int, pairs: int) -> Iterator[Pair]:
    """Seconds a step with cached logits, and with gold labels alone.

    A pair is several steps of each side, one in turn, so that a machine that others use slows both.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        targets = Targets(batch_size * (1 + pairs) * STEPS, shortest=140, longest=220)
        targets.write_cache(folder / "cache")
        cached, gold = (Side(folder, targets, terms, batch_size) for terms in ([GOLD, SOFT], [GOLD]))
        turns = interleaved(cached.step, gold.step, (1 + pairs) * STEPS - 1)
        warm = STEPS - 1  # beside the two untimed steps
        timed = list(itertools.islice(turns, warm, None))
        for start in range(0, len(timed), STEPS):
            ours, other = zip(*timed[start : start + STEPS], strict=True)
            yield statistics.mean(ours), statistics.mean(other)


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
