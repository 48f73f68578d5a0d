"""Learning gold labels with transformers' Trainer: its settings, loss, checkpoints and progress."""

import json
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from pipeline.errors import ParamsError
from pipeline.inference.labelled import LabelledPassages, labelled_batch
from pipeline.losses import LOSSES
from pipeline.losses.finite import check_finite
from pipeline.models.quiet import quiet
from pipeline.models.reading import SpanOutputs, read_batch
from pipeline.models.span_parts import span_loss
from pipeline.progress import track
from pipeline.tasks.span import with_null
from pipeline.training_settings import teacher_problems

_DEFAULTS = {"logging_steps": 50, "train_sampling_strategy": "group_by_length"}


class Learnt(NamedTuple):
    """How a training went: optimizer steps, and the losses that were logged on the way."""

    steps: int
    log: list[dict[str, float]]


def check_training(training: Mapping[str, Any]) -> None:
    """Refuse a setting that no teacher has, or a value that it cannot have.

    Raises:
        ParamsError: Names all of them.
    """
    if problems := teacher_problems(training):
        raise ParamsError(
            "training",
            expected="settings that a teacher may have",
            got="; ".join(problems),
            remedy="mend them in params",
        )


def train(
    model: PreTrainedModel,
    data: LabelledPassages,
    work: Path,
    training: Mapping[str, Any],
    seed: int,
    *,
    label: str,
    loss: str,
) -> Learnt:
    """Train `model` in place on its gold `loss`, from the last whole checkpoint in `work` if there is one.

    Raises:
        ParamsError: A setting is refused, or the loss is no finite number.
    """
    trainer = _GoldTrainer(
        model=model,
        args=_arguments(training, work, seed),
        train_dataset=data,
        data_collator=partial(
            labelled_batch, pad_token_id=model.config.pad_token_id or 0, labels=data.labels
        ),
    )
    trainer.label = label
    trainer.loss = LOSSES.load(loss)
    trainer.has_null = data.has_null
    trainer.remove_callback(PrinterCallback)
    steps = _planned_steps(trainer, len(data))
    with quiet(), track(steps, label, "steps") as advance:
        trainer.add_callback(_Progress(advance))
        trained = trainer.train(resume_from_checkpoint=_last_checkpoint(work))
    # The steps after the last log count too.
    check_finite(trained.training_loss, label, trained.global_step)
    return Learnt(
        trainer.state.global_step, [entry for entry in trainer.state.log_history if "loss" in entry]
    )


def _arguments(training: Mapping[str, Any], work: Path, seed: int) -> TrainingArguments:
    chosen = {"dataloader_pin_memory": torch.cuda.is_available(), **_DEFAULTS, **training}
    try:
        return TrainingArguments(
            output_dir=str(work),
            seed=seed,
            save_strategy="epoch",
            save_total_limit=2,
            report_to=[],
            disable_tqdm=True,
            logging_nan_inf_filter=False,  # it would show the last finite loss in place of what came
            remove_unused_columns=False,
            **chosen,
        )
    except (TypeError, ValueError) as error:
        raise ParamsError(
            "training",
            expected="values that transformers' TrainingArguments takes",
            got=str(error).splitlines()[0],
            remedy="correct the value",
        ) from error


def _last_checkpoint(work: Path) -> str | None:
    """The newest checkpoint that is whole: the trainer's state is what is written last."""
    for folder in sorted(work.glob("checkpoint-*"), key=_step, reverse=True):
        try:
            json.loads((folder / "trainer_state.json").read_bytes())
        except (OSError, json.JSONDecodeError):
            shutil.rmtree(folder)
        else:
            return str(folder)
    return None


def _step(folder: Path) -> int:
    return int(folder.name.rpartition("-")[2])


def _planned_steps(trainer: Trainer, rows: int) -> int:
    if trainer.args.max_steps > 0:
        return trainer.args.max_steps
    batches = -(-rows // trainer.args.train_batch_size)
    updates = -(-batches // trainer.args.gradient_accumulation_steps)
    return int(-(-updates * trainer.args.num_train_epochs // 1))


class _GoldTrainer(Trainer):
    """Trainer whose loss is that of gold labels: of spans, the mean of start's and end's cross-entropy."""

    label: str
    loss: Callable[..., tuple[Tensor, Tensor]]
    has_null: bool

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            check_finite(logs["loss"], self.label, self.state.global_step)
        super().log(logs, start_time)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        gold = inputs["gold"]
        # A two-step reader's end is that given the gold start.
        outputs = read_batch(model, inputs, starts=gold[:, 0])
        if isinstance(outputs, SpanOutputs) and self.has_null:
            parts = outputs.parts
            if outputs.null_logits is not None:
                parts, gold = outputs.parts_with_null, with_null(gold)
            return span_loss(*(part.logits for part in parts), *gold.unbind(dim=1))
        if isinstance(outputs, SpanOutputs):
            start = F.cross_entropy(outputs.start_logits, gold[:, 0])
            end = F.cross_entropy(outputs.end_logits, gold[:, 1])
            return (start + end) / 2
        (part,) = outputs.parts
        total, count = self.loss(part.logits, gold[:, 0], mask=part.mask)
        return total / count.clamp(min=1)


class _Progress(TrainerCallback):
    """Advances the progress line; a resumed run starts from where it is."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        self._advance = advance
        self._seen = 0

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._advance(state.global_step - self._seen)
        self._seen = state.global_step
