"""A finished model, teacher or student, that labels rows: classes, numbers or tags."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from pipeline.errors import ModelError
from pipeline.evaluation.reader import load_finished
from pipeline.evaluation.rows import TokenRow, collate
from pipeline.evaluation.vectors import FIRST, Pooling, cosines
from pipeline.models.head import AUTO_CLASSES
from pipeline.models.multi_head import predict_with
from pipeline.models.reading import read_batch
from pipeline.models.vocabulary import Vocabulary
from pipeline.tasks import TASKS
from pipeline.tasks.outputs import are_numbers, output_names

Belief = NDArray[np.floating]

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
        names = output_names(model.config.id2label) if has_head and not heads else ()
        unnamed = are_numbers(names)
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

    def label(self, rows: Sequence[TokenRow]) -> list[Labelled]:
        """What is said of each row, read as one batch: O of a word that was cut off."""
        return [self.decide(belief) for belief in self.believe(rows)]

    @torch.inference_mode()
    def believe(self, rows: Sequence[TokenRow]) -> list[Belief]:
        """The probabilities of each row's classes, of each word's where words are tagged, read as one batch.

        Of a word that was cut off they are 0; of a number it is the number, of vectors what `cosines` gives.
        """
        if self.labels == "none":
            found = cosines(
                self.model, rows, self.pooling, pad_token_id=self.pad_token_id, device=self.device
            )
            return [np.array(values) for values in found]
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
        if self.labels == "number":
            return list(logits.numpy())
        likely = logits.sigmoid() if self.labels == "classes" else logits.softmax(-1)
        if self.labels == "tags":
            likely = likely * part.mask.cpu()
            return [row[: len(own)].numpy() for row, own in zip(likely, words, strict=True)]
        return list(likely.numpy())

    def decide(self, belief: Belief) -> Labelled:
        """The labels that follow from what is believed of a row."""
        if self.labels == "tags":
            tags = (self.classes[word.argmax()] if word.any() else "O" for word in belief)
            return Labelled(tuple(tags), ())
        values: tuple[float, ...] = tuple(belief.tolist())
        if self.labels == "number":
            return Labelled((f"{values[0]:.6g}",), values)
        if self.labels == "classes":
            likely = (name for name, value in zip(self.classes, values, strict=True) if value > _LIKELY)
            return Labelled(tuple(likely), values)
        return Labelled(() if self.labels == "none" else (self.classes[belief.argmax()],), values)
