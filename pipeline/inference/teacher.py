"""A span teacher reading rows: length-sorted batches in, ragged target columns in row order out."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedModel

from pipeline.cache.columns import FLOATING, Column
from pipeline.cache.fields import FIELDS, TOKENS
from pipeline.cache.ragged import Ragged
from pipeline.errors import ModelError, ParamsError
from pipeline.inference.batches import token_batches
from pipeline.inference.captures import CAPTURES
from pipeline.inference.checkpoint import load_span_model
from pipeline.inference.inputs import Inputs, check_length, collate
from pipeline.inference.transfer import Landing, to_host
from pipeline.models.reading import read
from pipeline.registry import did_you_mean
from pipeline.text.tokenizers import Encoded

AUTOCAST = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}

# Padded tokens a batch: on 2 CPU cores 2,048 to 4,096 read fastest; a large accelerator wants more.
BATCH_TOKENS = 4096

_Rows = dict[str, list[np.ndarray]]


class TokenCount(NamedTuple):
    """Tokens read so far: those of rows, and those that the model saw, padding included."""

    real: int
    padded: int

    @property
    def waste(self) -> float:
        """The share that was padding."""
        return 1 - self.real / self.padded if self.padded else 0.0


class SpanTeacher:
    """A span model, ready to compute the columns of some target fields.

    Args:
        model: In float32 and evaluation mode.
        fields: The target fields with their options.
        batch_tokens: Padded tokens a batch at most.
        autocast: The type of matrix products: float32, bfloat16 or float16.
        device: Where to compute; a CUDA device where there is one, else the CPU.

    Raises:
        ParamsError: The autocast type is unknown.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        fields: Mapping[str, Mapping[str, Any]],
        batch_tokens: int = BATCH_TOKENS,
        autocast: str = "float32",
        device: str | None = None,
    ) -> None:
        if autocast not in AUTOCAST:
            raise ParamsError(
                "autocast",
                expected="the name of a floating type",
                got=repr(autocast),
                remedy=did_you_mean(autocast, AUTOCAST),
            )
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.fields = {name: FIELDS[name].resolve(options) for name, options in fields.items()}
        self.tokens = TokenCount(0, 0)
        self._model = model
        self._model.to(self.device)  # type: ignore[arg-type]
        self._batch_tokens = batch_tokens
        self._dtype = AUTOCAST[autocast]

    @classmethod
    def open(cls, folder: Path, *, max_length: int, **options: Any) -> "SpanTeacher":
        """The teacher in a model folder, for rows of at most `max_length` tokens."""
        model = load_span_model(folder)
        check_length(model.config, max_length, folder)
        return cls(model, **options)

    def read(
        self, rows: Sequence[Encoded], groups: Collection[str], name_of: Callable[[int], str] = str
    ) -> dict[str, Ragged]:
        """The columns of some fields for `rows`, in their order, floating ones in float32.

        Args:
            rows: A block; batches are formed from it alone.
            groups: The fields wanted, the tokens included.
            name_of: What to call the row at a position of `rows` in a message.

        Raises:
            ModelError: The teacher gave not-a-number or infinity.
        """
        columns = _token_columns(rows) if TOKENS in groups else {}
        fields = [name for name in self.fields if name in groups]
        if fields:
            columns |= self._field_columns(rows, fields, name_of)
        return columns

    def _field_columns(
        self, rows: Sequence[Encoded], fields: Sequence[str], name_of: Callable[[int], str]
    ) -> dict[str, Ragged]:
        columns = [column for name in fields for column in FIELDS[name].columns]
        # A row without passage tokens has nothing to be read: its columns stay empty.
        readable = np.flatnonzero([row.passage[0] < row.passage[1] for row in rows])
        lengths = np.array([len(rows[at].input_ids) for at in readable.tolist()], np.int64)
        cut: _Rows = {column.name: [np.empty(0, np.float32)] * len(rows) for column in columns}
        waiting: tuple[Int[np.ndarray, " batch"], Landing] | None = None
        for batch in token_batches(lengths, self._batch_tokens):
            # Unpack a batch only once the next one is under way: on an accelerator both run at a time.
            here = readable[batch]
            landing = self._compute([rows[at] for at in here.tolist()], fields)
            if waiting is not None:
                _unpack(rows, *waiting, columns, cut)
            waiting = here, landing
        if waiting is not None:
            _unpack(rows, *waiting, columns, cut)
        return {column.name: _packed(column, cut[column.name], name_of) for column in columns}

    @torch.inference_mode()
    def _compute(self, rows: Sequence[Encoded], fields: Sequence[str]) -> Landing:
        inputs = collate(rows, pad_token_id=self._model.config.pad_token_id or 0)
        self._count(rows, inputs)
        attention = self.fields["qa_attention"]["layer"] if "qa_attention" in fields else None
        tensors = {name: values.to(self.device, non_blocking=True) for name, values in inputs.tensors.items()}
        with self._autocast():
            outputs = read(self._model, tensors, inputs.question, inputs.passage, attention_layer=attention)
        captured: dict[str, Tensor] = {}
        for name in fields:
            captured |= CAPTURES.load(name)(outputs, self.fields[name])
        return to_host(captured)

    def _count(self, rows: Sequence[Encoded], inputs: Inputs) -> None:
        self.tokens = TokenCount(
            self.tokens.real + sum(len(row.input_ids) for row in rows),
            self.tokens.padded + inputs.tensors["input_ids"].numel(),
        )

    def _autocast(self) -> AbstractContextManager[None]:
        return torch.autocast(self.device.type, dtype=self._dtype, enabled=self._dtype is not None)


def _unpack(
    rows: Sequence[Encoded],
    batch: Int[np.ndarray, " batch"],
    landing: Landing,
    columns: Sequence[Column],
    cut: _Rows,
) -> None:
    """Cut the padded columns of a batch to their rows and put them where `rows` has them."""
    arrays = landing.arrays()
    for at, position in enumerate(batch.tolist()):
        extents = {
            "passage": rows[position].passage[1] - rows[position].passage[0],
            "question": rows[position].question[1] - rows[position].question[0],
            "span": int((arrays["top_starts"][at] >= 0).sum()) if "top_starts" in arrays else 0,
        }
        for column in columns:
            ends = tuple(slice(extents[axis]) for axis in column.axes)
            cut[column.name][position] = arrays[column.name][at][ends].ravel()


def _packed(column: Column, rows: list[np.ndarray], name_of: Callable[[int], str]) -> Ragged:
    """The rows of a column, checked: one look at the host's copy is cheaper than many on the device."""
    packed = Ragged.from_rows(rows, np.float32 if column.dtype == FLOATING else column.dtype)
    if packed.values.dtype.kind == "f":
        finite = np.isfinite(packed.values)
        if not finite.all():
            at = int(np.argmin(finite))
            raise ModelError(
                f"teacher, row {name_of(int(np.searchsorted(packed.offsets, at, side='right')) - 1)}",
                expected=f"finite {column.name}",
                got=str(packed.values[at]),
                remedy="use autocast float32, or check the teacher's weights",
            )
    return packed


def _token_columns(rows: Sequence[Encoded]) -> dict[str, Ragged]:
    return {
        "passage_offsets": Ragged.from_rows([row.passage_offsets.ravel() for row in rows], np.int32),
        "question_offsets": Ragged.from_rows([row.question_offsets.ravel() for row in rows], np.int32),
    }
