"""A finished span model, teacher or student, that picks the best span of passages."""

import math
from collections.abc import Callable, Iterator, Sequence, Sized
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from transformers import AutoModel, AutoModelForQuestionAnswering, PreTrainedModel

import pipeline.models  # noqa: F401  registers our architectures with the Auto classes
from pipeline.errors import ModelError
from pipeline.evaluation.rows import TokenRow, collate
from pipeline.models.quiet import quiet
from pipeline.models.reading import SpanOutputs, read
from pipeline.models.vocabulary import Vocabulary
from pipeline.tasks.span import NUM_STARTS, Spans, find_spans, span_characters
from pipeline.text.tokenizers import Encoder

Row = TypeVar("Row", bound=Sized)
Said = TypeVar("Said")

BATCH_ROWS = 32

_LONGEST_ROW, _LONGEST_QUESTION = 512, 64


@dataclass(frozen=True, slots=True)
class Span:
    """A span of a row's passage, in characters of its text, and log p(start) + log p(end).

    Of a reader that can say that there is no answer, `logit` is the sum of the span's start and end logits,
    and `null_logit` that of the first token's.
    """

    start: int
    end: int
    log_prob: float
    logit: float = 0.0
    null_logit: float | None = None

    @property
    def probability(self) -> float:
        """Of this span; start and end are independent, or the end is that given the start."""
        return math.exp(self.log_prob)


@dataclass(frozen=True)
class Reader:
    """A span model in evaluation mode, on the accelerator where there is one."""

    folder: Path
    model: PreTrainedModel
    pad_token_id: int
    device: torch.device

    @classmethod
    def open(cls, folder: Path) -> "Reader":
        """The finished model in `folder`, in float32.

        Raises:
            ModelError: There is none, or it lacks weights.
        """
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        model = load_finished(folder)
        torch.nn.Module.to(model, device)
        model.train(False)
        return cls(folder, model, Vocabulary.read(folder).pad, device)

    @classmethod
    def of(cls, tokenizer: Path, model: PreTrainedModel) -> "Reader":
        """A model in memory, in evaluation mode already, with the folder of its tokenizer."""
        return cls(tokenizer, model, Vocabulary.read(tokenizer).pad, next(model.parameters()).device)

    @property
    def max_length(self) -> int:
        """As of `longest_row`."""
        return longest_row(self.model)

    @torch.inference_mode()
    def outputs(self, rows: Sequence[TokenRow]) -> SpanOutputs:
        """What the model gives for rows with a passage, read as one batch."""
        batch = collate(rows, pad_token_id=self.pad_token_id)
        inputs = {name: values.to(self.device) for name, values in batch.inputs.items()}
        return read(self.model, inputs, batch.question, batch.passage, num_starts=NUM_STARTS)

    @torch.inference_mode()
    def spans(self, rows: Sequence[TokenRow], *, max_answer_tokens: int) -> list[Span | None]:
        """The best span of each row, read as one batch; None for a row without a passage."""
        seen = [at for at, row in enumerate(rows) if len(row.passage_offsets)]
        found: list[Span | None] = [None] * len(rows)
        if not seen:
            return found
        outputs = self.outputs([rows[at] for at in seen])
        best = find_spans(outputs, max_answer_tokens=max_answer_tokens)
        columns = (values[:, 0].tolist() for values in best)
        sums = _logit_sums(outputs, best)
        for at, first, last, log_prob, own in zip(seen, *columns, sums, strict=True):
            start, end = span_characters(first, last, rows[at].passage_offsets)
            found[at] = Span(start, end, log_prob, *own)
        return found


def _logit_sums(outputs: SpanOutputs, best: Spans) -> list[tuple[float, float | None]]:
    """Of each row, the sums of the logits of its best span and of no answer."""
    if outputs.null_logits is None:
        return [(0.0, None)] * len(best.starts)
    boundaries = ((outputs.start_logits, best.starts), (outputs.end_logits, best.ends))
    start, end = (logits.gather(1, places[:, :1]).flatten() for logits, places in boundaries)
    return list(zip((start + end).tolist(), outputs.null_logits.sum(dim=1).tolist(), strict=True))


def longest_row(model: PreTrainedModel) -> int:
    """The longest row that a model reads, in tokens: what it has positions for, at most 512.

    RoBERTa and its kin have 514 positions and never use two of them.
    """
    positions = getattr(model.config, "max_position_embeddings", None)
    return min(int(positions or _LONGEST_ROW), _LONGEST_ROW)


def question_limit(wanted: int | None, length: int, encoder: Encoder) -> int:
    """The most tokens of a question, so that a row of `length` has room for its text.

    That is `wanted`, as where a model is trained; half a row where this leaves no room; and where none is
    wanted 64, or half of a shorter row.
    """
    if wanted is not None and wanted + encoder.num_special < length:
        return wanted
    return min(wanted or _LONGEST_QUESTION, length // 2)


def longest_first(rows: Sequence[Sized], batch_rows: int) -> Iterator[list[int]]:
    """Batches of row numbers, of like lengths. The longest come first: memory runs out at once or never."""
    order = sorted(range(len(rows)), key=lambda index: -len(rows[index]))
    for start in range(0, len(order), batch_rows):
        yield order[start : start + batch_rows]


def read_all(
    reader: Reader,
    rows: Sequence[TokenRow],
    *,
    max_answer_tokens: int,
    batch_rows: int = BATCH_ROWS,
    advance: Callable[[int], None] = lambda count: None,
) -> list[Span | None]:
    """The best span of each row, in the order of `rows`; `advance` is told how many are done."""
    predict = partial(reader.spans, max_answer_tokens=max_answer_tokens)
    return predict_all(predict, rows, batch_rows=batch_rows, advance=advance)


def predict_all(
    predict: Callable[[Sequence[Row]], Sequence[Said]],
    rows: Sequence[Row],
    *,
    batch_rows: int = BATCH_ROWS,
    advance: Callable[[int], None] = lambda count: None,
) -> list[Said]:
    """What `predict` says of each row, batch by batch, in the order of `rows`.

    `advance` is told how many are done.
    """
    found: dict[int, Said] = {}
    for batch in longest_first(rows, batch_rows):
        found.update(zip(batch, predict([rows[index] for index in batch]), strict=True))
        advance(len(batch))
    return [found[index] for index in range(len(rows))]


def load_finished(folder: Path, kind: Any = AutoModelForQuestionAnswering) -> PreTrainedModel:
    """The finished model in `folder`, in float32.

    Args:
        folder: A model folder.
        kind: The Auto class that loads it.

    Raises:
        ModelError: There is none, or it lacks weights.
    """
    what = "span model" if kind is AutoModelForQuestionAnswering else "model"
    if not (folder / "config.json").is_file():
        raise ModelError(
            folder,
            expected="a model folder with config.json",
            got="another folder" if folder.is_dir() else "no such folder",
            remedy="train the model first, or check the path",
        )
    try:
        with quiet():
            model, info = kind.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            folder,
            expected=f"a {what} that {kind.__name__} can load",
            got=str(error).splitlines()[0],
            remedy="train or fetch the model again",
        ) from error
    # An encoder without a head is often published without its pooler.
    missing = [
        name for name in info["missing_keys"] if kind is not AutoModel or not name.startswith("pooler.")
    ]
    if missing:
        raise ModelError(
            folder,
            expected=f"a finished {what}",
            got=f"no weights for {', '.join(sorted(missing))}",
            remedy="train it first",
        )
    return model  # type: ignore[no-any-return]
