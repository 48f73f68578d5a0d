"""transformers' Trainer with a student's objective, our order of rows, and resumption that is exact."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from torch.utils.data import DataLoader, Sampler
from transformers import (
    PreTrainedModel,
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import IntervalStrategy, TrainOutput

from pipeline.files import read_json
from pipeline.losses.finite import check_finite
from pipeline.models.multi_head import MultiHeadBert
from pipeline.models.observing import observe
from pipeline.models.reading import HeadOutputs, Outputs, read_batch, read_heads, unwrapped
from pipeline.objectives.objective import Measured, Objective
from pipeline.objectives.term import OBSERVED
from pipeline.progress import track
from pipeline.schedules.warmup import logarithmic_warmup
from pipeline.training import best, checkpoints
from pipeline.training.ema import AveragedWeights
from pipeline.training.joined import JoinedStream
from pipeline.training.mixture import Mixture
from pipeline.training.order import Ticket, announced
from pipeline.training.prefetch import Prefetch
from pipeline.training.stream import Batch, Stream

_AVERAGES = "averages.safetensors"
_ON_HOST = "on_host"

# The part of a student that is not published.
PROJECTIONS = "projections"


@runtime_checkable
class Scorer(Protocol):
    """Gives the scores of a student that is in training."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Their names."""

    def __call__(self, model: PreTrainedModel) -> Mapping[str, float]:
        """The scores by name; the model is left as it was."""


class DistillationTrainer(Trainer):
    """Trains a student on the batches of a stream.

    What differs from its parent: the loss is divided once per optimizer step, by what was counted over
    all its micro-batches and ranks; rows come in the order of `pipeline.training.order`, read ahead by a
    thread; a checkpoint counts only when it is whole; weights may be averaged.

    Args:
        model: The student.
        args: Settings of transformers. Its output_dir holds the checkpoints.
        stream: The rows, of one source or of several.
        objective: The terms.
        label: What progress is shown under, and errors are about.
        scorer: Scores the student while it trains, as `args.eval_strategy` says; None never does.
        load_best: End with the weights whose score was best, not with the last.
        callbacks: More of them.
        ema_decay: Decay of the averaged weights, None for none.
        warmup: Shape of the rise of the learning rate over `args.warmup_steps`.
        tau: Draws one source for each batch, see `Mixture`; None reads all rows in one order.
        keep_checkpoints: How many whole checkpoints are kept.
    """

    # The objective divides by the counts of the whole step: Trainer must not divide again.
    loss_is_scaled_for_ga = True

    objective: Objective

    def __init__(
        self,
        model: PreTrainedModel,
        args: TrainingArguments,
        *,
        stream: Stream | JoinedStream,
        objective: Objective,
        label: str = "train",
        scorer: Scorer | None = None,
        load_best: bool = False,
        callbacks: Sequence[TrainerCallback] = (),
        ema_decay: float | None = None,
        warmup: str = "linear",
        tau: float | None = None,
        keep_checkpoints: int = 1,
    ) -> None:
        # One process drives one device; more devices are more processes (torchrun), never DataParallel.
        _ = args.device
        args._n_gpu = min(1, args.n_gpu)
        args.logging_nan_inf_filter = False  # it waits for the device at every step; `log` refuses instead
        self._projections = nn.ModuleDict(
            {str(place): module for place, module in enumerate(objective.projections.values())}
        )
        if len(self._projections):
            # As a part of the student they are trained, saved in checkpoints and reduced over ranks like it.
            model.add_module(PROJECTIONS, self._projections)
        # Any data set will do: Trainer wants to see one where there is a strategy.
        watched: Any = stream if scorer else None
        super().__init__(model=model, args=args, eval_dataset=watched)
        self.student = model
        self.scorer = scorer
        self.load_best = load_best
        self.stream = stream
        self.mixture = Mixture(stream.source_lengths, tau)
        self.objective = objective
        self.label = label
        self.warmup = warmup
        self.keep_checkpoints = keep_checkpoints
        self.run_folder = Path(str(args.output_dir))
        self.averages = AveragedWeights(model, decay=ema_decay) if ema_decay is not None else None
        self._prefetch: Prefetch[Batch] | None = None
        self._window = torch.zeros(len(objective.terms), 3)
        self.remove_callback(PrinterCallback)
        self.remove_callback(ProgressCallback)
        self._progress = _Progress(label)
        self.add_callback(self._progress)
        if self.averages is not None:
            self.add_callback(_Averaging(self.averages))
        for callback in callbacks:
            self.add_callback(callback)

    @property
    def updates_per_epoch(self) -> int:
        """Optimizer steps an epoch."""
        return -(-self._batches_per_epoch // self.args.gradient_accumulation_steps)

    @property
    def _batches_per_epoch(self) -> int:
        return self.mixture.num_batches(
            batch_size=self.args.per_device_train_batch_size, world=self.args.world_size
        )

    @property
    def _last_step(self) -> int:
        if self.args.max_steps > 0:
            return self.args.max_steps
        return math.ceil(self.args.num_train_epochs * self.updates_per_epoch)

    def train(self, resume_from_checkpoint: Any = None, *args: Any, **kwargs: Any) -> TrainOutput:
        """Train, from the newest whole checkpoint in `output_dir` unless another is named."""
        named = resume_from_checkpoint or checkpoints.newest(self.run_folder)
        checkpoint = Path(named) if named else None
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            checkpoints.remove_torn(self.run_folder)
            best.forget_after(self.run_folder, _global_step(checkpoint) if checkpoint else 0)
        if checkpoint is not None and self.averages is not None:
            self.averages.load(checkpoint / _AVERAGES)
        if checkpoint is not None and self._has_ended(checkpoint):
            # Trainer would go on: by one step, or until the next evaluation stops it.
            self._load_from_checkpoint(str(checkpoint))
            self.state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
            done = TrainOutput(self.state.global_step, 0.0, {})
        else:
            self._window = self._window.to(self.args.device)
            try:
                with self._progress.shown():
                    done = super().train(str(checkpoint) if checkpoint else None, *args, **kwargs)
            finally:
                self._stop_reading()
        if self.load_best:
            self._take_best()
        return done

    def _has_ended(self, checkpoint: Path) -> bool:
        """Whether training was over when the checkpoint was written: at its last step, or stopped."""
        state = read_json(checkpoint / TRAINER_STATE_NAME)
        control = state["stateful_callbacks"].get("TrainerControl", {}).get("args", {})
        return bool(state["global_step"] >= self._last_step or control.get("should_training_stop"))

    def _take_best(self) -> None:
        self.accelerator.wait_for_everyone()
        step = best.newest(self.run_folder)
        if step is not None:
            self.student._modules.pop(PROJECTIONS, None)  # the best weights are those to publish
            best.load(self.run_folder, step, self.student)
            self.averages = None
            self.state.log_history.append({"best_step": step, "step": self.state.global_step})

    @contextmanager
    def published_weights(self) -> Iterator[None]:
        """The model with the weights to publish: the averages, where there are any, and no projections."""
        student = self.student
        with self.averages.swapped_in() if self.averages is not None else nullcontext():
            projections = student._modules.pop(PROJECTIONS, None)
            try:
                yield
            finally:
                if projections is not None:
                    student.add_module(PROJECTIONS, projections)

    def create_optimizer(self, *args: Any, **kwargs: Any) -> torch.optim.Optimizer:
        """Trainer's optimizer; projections with a learning rate of their own are groups of their own."""
        if self.optimizer is not None:
            return self.optimizer
        optimizer: torch.optim.Optimizer = super().create_optimizer(*args, **kwargs)
        for module in self._projections.values():
            if module.learning_rate is not None:
                for group in list(optimizer.param_groups):
                    _regroup(optimizer, group, {id(own) for own in module.parameters()}, module.learning_rate)
        return optimizer

    def get_train_dataloader(self) -> DataLoader[Batch]:
        """The stream in our own order, which is rank-aware already: accelerate is kept out of it."""
        sampler: Any = _EpochSampler(self)  # of tickets, where torch's types know lists of indices only
        unchanged: Any = _unchanged
        return DataLoader(
            self.stream,
            batch_sampler=sampler,
            collate_fn=unchanged,
            pin_memory=self.args.device.type == "cuda" and self.args.dataloader_pin_memory,
            # Its own generator: a loader draws a seed at every epoch, which must not shift the dropout.
            generator=torch.Generator(),
        )

    def get_batch_samples(
        self, epoch_iterator: Iterator[Batch], num_batches: int, device: torch.device
    ) -> tuple[list[Batch], Int[Tensor, " terms"]]:
        """The micro-batches of one optimizer step, and how many rows each term counts in all of them."""
        if self._prefetch is None or self._prefetch.source is not epoch_iterator:
            self._stop_reading()
            self._prefetch = Prefetch(epoch_iterator)
        batches = list(itertools.islice(self._prefetch, num_batches))
        counted = [self.objective.counted(batch) for batch in batches]
        return batches, self._over_ranks(torch.stack(counted).sum(0).to(device, non_blocking=True))

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """This micro-batch's share of the loss of the whole optimizer step."""
        progress = self.state.global_step / max(self.state.max_steps, 1)
        read: list[Outputs | HeadOutputs] = []

        def computed(student: nn.Module) -> tuple[Tensor, dict[str, Measured]]:
            outputs, observed = self._read(student, inputs)
            read.append(outputs)
            batch = {**inputs, OBSERVED: observed}
            return self.objective(outputs, batch, num_items_in_batch, progress=progress)

        loss, measured = _inside(model, computed)
        scales = self.objective.scales(progress)
        self._window += torch.stack(
            [
                torch.stack([part.total, part.rows, scale * part.total])
                for part, scale in zip(measured.values(), scales, strict=True)
            ]
        )
        # Gradients are averaged over ranks, the counts are summed over them.
        loss = loss * self.args.world_size
        return (loss, read[0]) if return_outputs else loss

    def _read(self, student: nn.Module, inputs: Batch) -> tuple[Outputs | HeadOutputs, Any]:
        """What the terms read of the student: its outputs, and what was observed on the way to them."""
        reads = self.objective.reads
        layer = reads.attention_layer
        # A two-step student's end is that given the gold start.
        starts = inputs["gold"][:, 0]
        batch = inputs | inputs[_ON_HOST]
        with observe(
            unwrapped(student), hidden=reads.hidden, attention=reads.attention, pooled=reads.pooled
        ) as observed:
            if isinstance(unwrapped(student), MultiHeadBert):
                heads = self.objective.heads(inputs)
                return read_heads(student, batch, heads, attention_layer=layer), observed
            return read_batch(student, batch, attention_layer=layer, starts=starts), observed

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """The scores of the weights to publish, as they are now; all ranks go by those of the first."""
        assert self.scorer is not None, "without a scorer there is no strategy"
        with self.published_weights():
            scores = self.scorer(self.student)
        values = torch.tensor([*scores.values()], dtype=torch.float64, device=self.args.device)
        if self.args.world_size > 1:
            torch.distributed.broadcast(values, src=0)
        names = (f"{metric_key_prefix}_{name}" for name in scores)
        metrics: dict[str, float] = dict(zip(names, values.tolist(), strict=True))
        self.log({**metrics})
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        is_best = super()._determine_best_metric(metrics=metrics, trial=trial)
        if is_best and self.load_best and self.args.should_save:
            with self.published_weights():
                best.save(self.run_folder, self.state.global_step, self.student)
        self.state.best_global_step = None  # Trainer would look for a checkpoint of that step
        return is_best

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> LRScheduler:
        """Transformers' schedule; a logarithmic warm-up replaces the linear part of it."""
        if self.lr_scheduler is None and self.warmup == "logarithmic":
            scheduler: Any = super().create_scheduler(num_training_steps, optimizer)
            rising = self.args.get_warmup_steps(num_training_steps)
            self.lr_scheduler = LambdaLR(
                scheduler.optimizer,
                [_rising_logarithmically(later, rising) for later in scheduler.lr_lambdas],
            )
        return super().create_scheduler(num_training_steps, optimizer)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add each term's mean over the steps since the last log; one copy from the device in all.

        Raises:
            ParamsError: The loss is no finite number.
        """
        if "loss" in logs:
            sums = self._over_ranks(self._window).tolist()
            for term, (total, rows, scaled) in zip(self.objective.terms, sums, strict=True):
                logs[term.name] = total / rows if rows else 0.0
                logs[f"{term.name}_weighted"] = scaled / rows if rows else 0.0
            self._window = torch.zeros_like(self._window)
            check_finite(logs["loss"], self.label, self.state.global_step)
        super().log(logs, start_time)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        checkpoint = self.run_folder / f"checkpoint-{self.state.global_step}"
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            if self.averages is not None:
                self.averages.save(checkpoint / _AVERAGES)
            checkpoints.mark_complete(checkpoint)
            checkpoints.keep_newest(self.run_folder, self.keep_checkpoints)
        self.accelerator.wait_for_everyone()

    def _prepare_inputs(self, inputs: Batch) -> Batch:
        # Token ranges stay in host memory too: reading their extent there needs no wait for the device.
        ranges = {name: inputs[name] for name in ("question", "passage")}
        return {**super()._prepare_inputs(inputs), _ON_HOST: ranges}

    def _over_ranks(self, values: Tensor) -> Tensor:
        return self.accelerator.reduce(values, "sum") if self.args.world_size > 1 else values

    def _stop_reading(self) -> None:
        if self._prefetch is not None:
            self._prefetch.close()
            self._prefetch = None


def _inside(model: nn.Module, compute: Callable[[nn.Module], Any]) -> Any:
    """What `compute` gives of a model; where several ranks train it, in the forward pass of what wraps it.

    For DistributedDataParallel waits for the gradients of all that the outputs of this pass depend on, and
    of nothing else. So they must be the loss itself, which depends on projections, and not on logits that no
    term reads.
    """
    if not isinstance(model, DistributedDataParallel):
        return compute(model)
    student = unwrapped(model)
    forward = student.forward

    def once(compute: Callable[[nn.Module], Any]) -> Any:
        student.forward = forward
        return compute(student)

    student.forward = once
    return model(compute)


class _EpochSampler(Sampler[Ticket]):
    """The tickets of the epoch that the trainer's step counter says it is."""

    def __init__(self, trainer: DistillationTrainer) -> None:
        self._trainer = trainer

    def __len__(self) -> int:
        return self._trainer._batches_per_epoch

    def __iter__(self) -> Iterator[Ticket]:
        trainer = self._trainer
        order = trainer.mixture.epoch(
            seed=trainer.args.seed,
            epoch=trainer.state.global_step // trainer.updates_per_epoch,
            batch_size=trainer.args.per_device_train_batch_size,
            world=trainer.args.world_size,
            rank=trainer.args.process_index,
        )
        return announced(zip(order.rows, order.counted, strict=True), trainer.stream.announce)


class _Averaging(TrainerCallback):
    """Takes the weights into their average after every optimizer step."""

    def __init__(self, averages: AveragedWeights) -> None:
        self._averages = averages

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._averages.update(state.global_step)


class _Progress(TrainerCallback):
    """Shows how far training has come, and has its last step logged."""

    def __init__(self, label: str) -> None:
        self._label, self._open = label, ExitStack()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """The display ends with the block."""
        with self._open:
            yield

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.is_world_process_zero:
            left = state.max_steps - state.global_step
            self._advance = self._open.enter_context(track(left, self._label, "steps"))

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.is_world_process_zero:
            self._advance(1)
        if state.global_step >= state.max_steps:
            control.should_log = True  # transformers may end between two logs, and two evaluations
            control.should_evaluate |= args.eval_strategy == IntervalStrategy.STEPS


def _regroup(optimizer: torch.optim.Optimizer, group: dict[str, Any], chosen: set[int], rate: Any) -> None:
    """Give the `chosen` ones of a group's parameters a group of their own, at another learning rate."""
    moved = [parameter for parameter in group["params"] if id(parameter) in chosen]
    if moved:
        group["params"] = [parameter for parameter in group["params"] if id(parameter) not in chosen]
        optimizer.add_param_group({**group, "params": moved, "lr": rate})


def _rising_logarithmically(later: Callable[[int], float], num_steps: int) -> Callable[[int], float]:
    """The factor `later`, with a logarithmic rise for the first steps.

    A closure, because the scheduler's checkpoint would hold the fields of a callable object.
    """

    def factor(step: int) -> float:
        return logarithmic_warmup(step, num_steps) if step < num_steps else float(later(step))

    return factor


def _global_step(checkpoint: Path) -> int:
    return int(read_json(checkpoint / TRAINER_STATE_NAME)["global_step"])


def _unchanged(batch: Batch) -> Batch:
    return batch
