"""A finished model, teacher or student, that labels rows: classes, numbers or tags."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from pipeline.errors import ModelError
from pipeline.evaluation.reader import BATCH_ROWS, load_finished, longest_first
from pipeline.evaluation.rows import TokenRow, collate
from pipeline.evaluation.vectors import FIRST, Pooling, cosines
from pipeline.models.head import AUTO_CLASSES
from pipeline.models.multi_head import predict_with
from pipeline.models.reading import read_batch
from pipeline.models.vocabulary import Vocabulary
from pipeline.tasks import TASKS

_LIKELY = 0.5


@dataclass(frozen=True, slots=True)
class Labelled:
    """What a model says of a row: its labels as texts, and what it gives each class.

    `values` are probabilities of the classes; of a number, the number; of tags, nothing; of the vectors of
    two texts their cosine.
    """

    labels: tuple[str, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Labeller:
    """A labelling model in evaluation mode, on the accelerator where there is one."""

    folder: Path
    model: PreTrainedModel
    labels: str
    classes: tuple[str, ...]
    pad_token_id: int
    device: torch.device
    pooling: Pooling

    @classmethod
    def open(
        cls,
        folder: Path,
        task: str,
        classes: Sequence[str],
        heads: Sequence[str] = (),
        pooling: Pooling = FIRST,
    ) -> "Labeller":
        """The finished model in `folder`, in float32.

        Args:
            folder: A model folder.
            task: What it is asked.
            classes: What its outputs stand for, where its configuration does not name them.
            heads: The heads that answer, of a model with several.
            pooling: Of an encoder without a head, what a vector is made of.

        Raises:
            ModelError: There is none, it lacks weights, or has another number of outputs.
        """
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        model = load_finished(folder, AUTO_CLASSES[TASKS[task].head])
        torch.nn.Module.to(model, device)
        model.train(False)
        return cls.of(folder, model, task, classes, heads, pooling)

    @classmethod
    def of(
        cls,
        tokenizer: Path,
        model: PreTrainedModel,
        task: str,
        classes: Sequence[str],
        heads: Sequence[str] = (),
        pooling: Pooling = FIRST,
    ) -> "Labeller":
        """A model in memory, in evaluation mode already, with the folder of its tokenizer; see `open`."""
        predict_with(model, heads)
        has_head = TASKS[task].gold_loss is not None
        named = model.config.id2label or {} if has_head and not heads else {}
        names = tuple(str(name) for name in named.values())
        # transformers' own names say nothing: the data set's do.
        unnamed = all(name == f"LABEL_{number}" for number, name in enumerate(names))
        wanted = max(len(classes), 1)
        if has_head and unnamed and len(names) != wanted and not heads:
            raise ModelError(
                tokenizer,
                expected=f"{wanted} outputs, as many as the task has classes",
                got=str(len(names)),
                remedy="use a model that was trained on this data set",
            )
        return cls(
            tokenizer,
            model,
            TASKS[task].labels,
            tuple(classes) if unnamed else names,
            Vocabulary.read(tokenizer).pad,
            next(model.parameters()).device,
            pooling,
        )

    @torch.inference_mode()
    def label(self, rows: Sequence[TokenRow]) -> list[Labelled]:
        """What is said of each row, read as one batch: O of a word that was cut off, nothing of a vector."""
        if self.labels == "none":
            found = cosines(
                self.model, rows, self.pooling, pad_token_id=self.pad_token_id, device=self.device
            )
            return [Labelled((), values) for values in found]
        batch = collate(rows, pad_token_id=self.pad_token_id)
        inputs = {name: values.to(self.device) for name, values in batch.inputs.items()}
        read = {"inputs": inputs, "question": batch.question, "passage": batch.passage}
        if self.labels == "tags":
            words = [
                torch.tensor(row.words if row.words is not None else [], dtype=torch.int64) for row in rows
            ]
            read["words"] = pad_sequence(words, batch_first=True, padding_value=-1).to(self.device)
        (part,) = read_batch(self.model, read).parts
        logits = part.logits.cpu()
        if self.labels == "tags":
            best = logits.argmax(-1).masked_fill(~part.mask.any(-1).cpu(), -1).tolist()
            return [
                Labelled(tuple(self.classes[tag] if tag >= 0 else "O" for tag in tags[: len(own)]), ())
                for tags, own in zip(best, words, strict=True)
            ]
        if self.labels == "number":
            return [Labelled((f"{value:.6g}",), (value,)) for value in logits[:, 0].tolist()]
        likely = logits.sigmoid() if self.labels == "classes" else logits.softmax(-1)
        return [Labelled(self._named(values), tuple(values)) for values in likely.tolist()]

    def _named(self, values: list[float]) -> tuple[str, ...]:
        if self.labels == "classes":
            pairs = zip(self.classes, values, strict=True)
            return tuple(name for name, value in pairs if value > _LIKELY)
        return (self.classes[max(range(len(values)), key=values.__getitem__)],)


def label_all(
    labeller: Labeller,
    rows: Sequence[TokenRow],
    *,
    advance: Callable[[int], None] = lambda count: None,
) -> list[Labelled]:
    """What is said of each row, in the order of `rows`; `advance` is told how many are done."""
    found: dict[int, Labelled] = {}
    for batch in longest_first(rows, BATCH_ROWS):
        for index, said in zip(batch, labeller.label([rows[index] for index in batch]), strict=True):
            found[index] = said
        advance(len(batch))
    return [found[index] for index in range(len(rows))]
