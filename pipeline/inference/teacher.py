"""A teacher reading rows: length-sorted batches in, ragged target columns in row order out."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedModel

from pipeline.cache.columns import FLOATING, TOKEN, TOKEN_PAIRS, Column, pairs
from pipeline.cache.fields import TOKENS, is_of_gold, kind_of, spec_of
from pipeline.cache.ragged import Ragged
from pipeline.cache.settle import settle
from pipeline.errors import ModelError, ParamsError
from pipeline.inference.batches import token_batches
from pipeline.inference.captures import CAPTURES
from pipeline.inference.heads import check_heads, load_teacher, shape_of
from pipeline.inference.inputs import Inputs, check_length, collate
from pipeline.inference.layer_captures import Reading
from pipeline.inference.transfer import Landing, to_host
from pipeline.models.observing import check_layers, check_pooler, observe
from pipeline.models.reading import read, run
from pipeline.registry import did_you_mean
from pipeline.schema import Answer
from pipeline.tasks.answers import gold_span
from pipeline.tasks.span import NUM_STARTS
from pipeline.text.tokenizers import Encoded

AUTOCAST = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}

# Padded tokens a batch: on 2 CPU cores 2,048 to 4,096 read fastest; a large accelerator wants more.
BATCH_TOKENS = 4096

# Of an axis that is a row's own, the column that says how long it is.
_FILLED = {"span": "top_starts", "gold": "gold_start", "start": "best_starts"}

_Rows = dict[str, list[np.ndarray]]

# The axes that a row without passage tokens does not have.
_OF_THE_PASSAGE = {"passage", "question", "span", "start", "gold"}
_PASSAGE_FIELDS = ("span_logits", "null_logits", "top_spans", "qa_attention", "end_rows", "top_end_rows")


class TokenCount(NamedTuple):
    """Tokens read so far: those of rows, and those that the model saw, padding included."""

    real: int
    padded: int

    @property
    def waste(self) -> float:
        """The share that was padding."""
        return 1 - self.real / self.padded if self.padded else 0.0


class SpanTeacher:
    """A model, ready to compute the columns of some target fields.

    Args:
        model: In float32 and evaluation mode; with a span head, unless no field needs one.
        fields: The target fields with their options, settled (`pipeline.cache.settle`) or not.
        batch_tokens: Padded tokens a batch at most.
        autocast: The type of matrix products: float32, bfloat16 or float16.
        device: Where to compute; a CUDA device where there is one, else the CPU.

    Raises:
        ParamsError: The autocast type is unknown, or a field or option is.
        ModelError: The model cannot give a field.
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
        check_heads(fields, model.config, type(model).__name__)
        settled = settle(fields, shape_of(model.config, type(model).__name__))
        self.fields = {name: spec_of(name).resolve(options) for name, options in settled.items()}
        wanted = _wanted(self.fields)
        check_layers(model, wanted.hidden)
        if wanted.pooled:
            check_pooler(model)
        self.tokens = TokenCount(0, 0)
        self._model = model
        self._model.to(self.device)  # type: ignore[arg-type]
        self._batch_tokens = batch_tokens
        self._dtype = AUTOCAST[autocast]

    @classmethod
    def open(cls, folder: Path, *, max_length: int, **options: Any) -> "SpanTeacher":
        """The teacher in a model folder, for rows of at most `max_length` tokens."""
        model = load_teacher(folder, options["fields"])
        check_length(model.config, max_length, folder)
        return cls(model, **options)

    def read(
        self,
        rows: Sequence[Encoded],
        groups: Collection[str],
        name_of: Callable[[int], str] = str,
        answers: Sequence[Sequence[Answer]] | None = None,
    ) -> dict[str, Ragged]:
        """The columns of some fields for `rows`, in their order, floating ones in float32.

        Args:
            rows: A block; batches are formed from it alone.
            groups: The fields wanted, the tokens included.
            name_of: What to call the row at a position of `rows` in a message.
            answers: The gold answers of each row; needed for fields that depend on them.

        Raises:
            ModelError: The teacher gave not-a-number or infinity.
        """
        columns = _token_columns(rows) if TOKENS in groups else {}
        fields = [name for name in self.fields if name in groups]
        if fields:
            starts = _gold_starts(rows, answers) if any(map(is_of_gold, fields)) else None
            columns |= self._field_columns(rows, fields, name_of, starts)
        return columns

    def _field_columns(
        self,
        rows: Sequence[Encoded],
        fields: Sequence[str],
        name_of: Callable[[int], str],
        starts: Int[np.ndarray, " rows"] | None,
    ) -> dict[str, Ragged]:
        by_field = {name: spec_of(name).given(self.fields[name]) for name in fields}
        columns = [column for name in fields for column in by_field[name]]
        cut: _Rows = {column.name: [np.empty(0, np.float32)] * len(rows) for column in columns}
        has_passage = np.array([row.passage[0] < row.passage[1] for row in rows], np.bool_)
        self._read(rows, np.flatnonzero(has_passage), by_field, cut, starts)
        # In a row without passage tokens there is nothing to be found: columns over the passage stay empty.
        # Such rows are read apart, so that the other batches do not depend on the fields asked for.
        whole = {
            name: given
            for name, given in by_field.items()
            if not any(_OF_THE_PASSAGE & {*column.axes} for column in given)
        }
        self._read(rows, np.flatnonzero(~has_passage), whole, cut)
        return {column.name: _packed(column, cut[column.name], name_of) for column in columns}

    def _read(
        self,
        rows: Sequence[Encoded],
        chosen: Int[np.ndarray, " chosen"],
        fields: Mapping[str, tuple[Column, ...]],
        cut: _Rows,
        starts: Int[np.ndarray, " rows"] | None = None,
    ) -> None:
        """Read the `chosen` ones of `rows` for some fields and put what is said of them into `cut`."""
        if not fields:
            return
        columns = [column for given in fields.values() for column in given]
        lengths = np.array([len(rows[at].input_ids) for at in chosen.tolist()], np.int64)
        waiting: tuple[Int[np.ndarray, " batch"], Landing] | None = None
        for batch in token_batches(lengths, self._batch_tokens):
            # Unpack a batch only once the next one is under way: on an accelerator both run at a time.
            here = chosen[batch]
            forced = None if starts is None else torch.from_numpy(starts[here])
            landing = self._compute([rows[at] for at in here.tolist()], fields, forced)
            if waiting is not None:
                _unpack(rows, *waiting, columns, cut)
            waiting = here, landing
        if waiting is not None:
            _unpack(rows, *waiting, columns, cut)

    @torch.inference_mode()
    def _compute(
        self,
        rows: Sequence[Encoded],
        fields: Mapping[str, tuple[Column, ...]],
        starts: Int[Tensor, " rows"] | None,
    ) -> Landing:
        inputs = collate(rows, pad_token_id=self._model.config.pad_token_id or 0)
        self._count(rows, inputs)
        fields_asked = {name: self.fields[name] for name in fields}
        attention = self.fields["qa_attention"]["layer"] if "qa_attention" in fields else None
        tensors = {name: values.to(self.device, non_blocking=True) for name, values in inputs.tensors.items()}
        span = None
        with self._autocast(), observe(self._model, **_wanted(fields_asked)._asdict()) as observed:
            if any(name in fields for name in _PASSAGE_FIELDS):
                span = read(
                    self._model,
                    tensors,
                    inputs.question,
                    inputs.passage,
                    attention_layer=attention,
                    starts=starts,
                    num_starts=_num_starts(fields_asked),
                )
            else:
                observed.output = run(self._model, tensors)
        forced = None if starts is None else starts.to(self.device)
        reading = Reading(span, observed, tensors["attention_mask"].bool(), forced)
        captured: dict[str, Tensor] = {}
        for name, columns in fields.items():
            values = CAPTURES.load(_kind(name))(reading, self.fields[name])
            captured |= {column.name: value for column, value in zip(columns, values, strict=True)}
        return to_host(captured)

    def _count(self, rows: Sequence[Encoded], inputs: Inputs) -> None:
        self.tokens = TokenCount(
            self.tokens.real + sum(len(row.input_ids) for row in rows),
            self.tokens.padded + inputs.tensors["input_ids"].numel(),
        )

    def _autocast(self) -> AbstractContextManager[None]:
        return torch.autocast(self.device.type, dtype=self._dtype, enabled=self._dtype is not None)


class _Wanted(NamedTuple):
    """What is to be picked up while the model runs."""

    hidden: frozenset[int]
    attention: frozenset[int]
    pooled: bool


def _wanted(fields: Mapping[str, Mapping[str, Any]]) -> _Wanted:
    hidden, attention, pooled = set[int](), set[int](), False
    for name, options in fields.items():
        kind = _kind(name)
        if kind == "sentence_vector" and options["pooling"] == "pooler":
            pooled = True
        elif kind.startswith("attention_"):
            attention.add(options["layer"])
        elif kind not in _PASSAGE_FIELDS:
            layers = options.get("layers") or [options["layer"]] if {"layer", "layers"} & {*options} else []
            hidden.update(layers)
    return _Wanted(frozenset(hidden), frozenset(attention), pooled)


def _num_starts(fields: Mapping[str, Mapping[str, Any]]) -> int:
    """How many of a two-step teacher's starts it must give the ends of: one at least, for its own end."""
    of_spans = max(fields["top_spans"]["k"], NUM_STARTS) if "top_spans" in fields else 1
    of_ends: int = fields["top_end_rows"]["k"] if "top_end_rows" in fields else 1
    return max(of_spans, of_ends)


def _gold_starts(
    rows: Sequence[Encoded], answers: Sequence[Sequence[Answer]] | None
) -> Int[np.ndarray, " rows"]:
    """The passage token where each row's gold answer starts, -1 where the row shows none."""
    if answers is None:
        raise ValueError("a field that depends on gold answers is asked for without them")
    spans = (gold_span(own, row.passage_offsets) for row, own in zip(rows, answers, strict=True))
    return np.array([start for start, _ in spans], np.int64)


def _kind(field: str) -> str:
    found = kind_of(field)
    assert found is not None, "fields are checked when the teacher is made"
    return found[0]


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
            TOKEN: len(rows[position].input_ids),
            TOKEN_PAIRS: pairs(len(rows[position].input_ids)),
        }
        # Axes of these are filled up with -1.
        for axis, filled in _FILLED.items():
            if filled in arrays:
                extents[axis] = int((arrays[filled][at] >= 0).sum())
        for column in columns:
            ends = tuple(slice(column.extents.get(axis, extents.get(axis))) for axis in column.axes)
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
