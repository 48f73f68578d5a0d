"""Filling a cache, against the forward passes that it cannot do without, and against the usual loop.

The model has the shape of MiniLM-L6 (6 layers of 384, 12 heads) and random weights; the rows are SQuAD's
where its dev set is at hand, else of drawn lengths. Both sides start from rows that are tokenized and a model
in memory; a fill ends with a cache sealed on disk, spans and attention block included.
"""

import json
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import BertConfig, BertForQuestionAnswering, Trainer, TrainingArguments

from benchmarks.pairs import Pair, Ratio, interleaved
from benchmarks.shared import shared
from pipeline.cache.fill import fill
from pipeline.cache.plan import plan
from pipeline.cache.rows import RowTable
from pipeline.cache.settings import CacheSettings
from pipeline.fingerprint import digest
from pipeline.inference.batches import token_batches
from pipeline.inference.inputs import collate
from pipeline.inference.teacher import BATCH_TOKENS, SpanTeacher
from pipeline.tasks.span import MAX_ANSWER_TOKENS
from pipeline.text.tokenizers import Encoded, Encoder

ROWS = 512
MAX_LENGTH = 384
QUESTION_TOKENS = 40
USUAL_BATCH = 32
TOP_K = 4
FIELDS: dict[str, dict[str, Any]] = {"span_logits": {}, "top_spans": {"k": TOP_K}, "qa_attention": {}}

_SQUAD = shared("data/squad_v1.1/dev-v1.1.json")
_TOKENIZER = shared("models/minilm-l6-qa")
_VOCABULARY = 30_522


def rows(count: int = ROWS) -> list[Encoded]:
    """Every so many-th row of SQuAD dev, or rows of drawn lengths where it is not at hand."""
    if not (_SQUAD.is_file() and _TOKENIZER.is_dir()):
        return drawn_rows(count)
    paragraphs = [
        paragraph for article in json.loads(_SQUAD.read_text())["data"] for paragraph in article["paragraphs"]
    ]
    pairs = [
        (entry["question"], paragraph["context"]) for paragraph in paragraphs for entry in paragraph["qas"]
    ]
    chosen = pairs[:: len(pairs) // count][:count]
    questions, texts = zip(*chosen, strict=True)
    encoder = Encoder.open(_TOKENIZER)
    return encoder.encode(questions, texts, max_length=MAX_LENGTH, max_question_tokens=QUESTION_TOKENS)


def drawn_rows(count: int) -> list[Encoded]:
    """Random tokens in rows as long as SQuAD's: 84, 164 and 312 at the 5th, 50th and 95th percentile."""
    random = np.random.default_rng(0)
    drawn = []
    for length in np.clip(random.lognormal(np.log(164), 0.4, count), 40, MAX_LENGTH).astype(int):
        question = int(random.integers(6, 24))
        passage = (question + 2, int(length) - 1)
        offsets = np.arange(2 * MAX_LENGTH, dtype=np.int32).reshape(-1, 2)
        drawn.append(
            Encoded(
                input_ids=random.integers(1000, _VOCABULARY, length).astype(np.int32),
                token_type_ids=(np.arange(length) >= passage[0]).astype(np.uint8),
                question=(1, question + 1),
                passage=passage,
                question_offsets=offsets[:question],
                passage_offsets=offsets[: passage[1] - passage[0]],
                character_ids=None,
                lost_passage_tokens=0,
            )
        )
    return drawn


def model(num_layers: int) -> BertForQuestionAnswering:
    """A BERT of MiniLM's width, with random weights."""
    torch.manual_seed(0)
    shape = BertConfig(
        vocab_size=_VOCABULARY,
        num_hidden_layers=num_layers,
        hidden_size=384,
        num_attention_heads=12,
        intermediate_size=1536,
    )
    reader = BertForQuestionAnswering(shape)
    reader.train(False)
    return reader


class Filling:
    """Fills a new cache at every call, with a teacher that is in memory already."""

    def __init__(self, reader: BertForQuestionAnswering, encoded: Sequence[Encoded], folder: Path) -> None:
        self.teacher = SpanTeacher(reader, fields=FIELDS)
        self._encoded, self._folder = encoded, folder
        self._settings = CacheSettings(
            teacher={"weights": "random"},
            tokenizer="any",
            numbers={"max_length": MAX_LENGTH, "batch_tokens": BATCH_TOKENS},
            fields=FIELDS,
        )

    def __call__(self) -> None:
        """Plan, read, write, seal."""
        shutil.rmtree(self._folder, ignore_errors=True)
        table = RowTable.build(
            input_hashes=[digest([row.input_ids.tobytes()]) for row in self._encoded],
            gold_hashes=[digest([])] * len(self._encoded),
            lengths=[len(row.input_ids) for row in self._encoded],
            question_lengths=[len(row.question_offsets) for row in self._encoded],
            splits=["train"] * len(self._encoded),
        )
        fill(plan(self._folder, table, self._settings), self._read)

    def _read(self, positions: np.ndarray, fields: frozenset[str]) -> dict[str, Any]:
        return self.teacher.read([self._encoded[at] for at in positions.tolist()], fields)


def bare(reader: BertForQuestionAnswering, encoded: Sequence[Encoded]) -> Callable[[], None]:
    """The forward passes alone, over the batches that a fill of one block makes, padded beforehand."""
    lengths = np.array([len(row.input_ids) for row in encoded])
    batches = [
        collate([encoded[at] for at in batch.tolist()], pad_token_id=0).tensors
        for batch in token_batches(lengths, BATCH_TOKENS)
    ]

    @torch.inference_mode()
    def passes() -> None:
        for tensors in batches:
            reader(**tensors)

    return passes


class _Padded(Dataset[dict[str, torch.Tensor]]):
    def __init__(self, encoded: Sequence[Encoded]) -> None:
        self._rows = [{name: values[0] for name, values in _to_maximum(row).items()} for row in encoded]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return self._rows[index]


def _to_maximum(row: Encoded) -> dict[str, torch.Tensor]:
    return {
        name: torch.nn.functional.pad(values, (0, MAX_LENGTH - values.shape[1]))
        for name, values in collate([row], pad_token_id=0).tensors.items()
    }


def usual(reader: BertForQuestionAnswering, encoded: Sequence[Encoded], folder: Path) -> Callable[[], None]:
    """What is usually written: every row padded to the maximum, `Trainer.predict`, top-K picked in numpy."""
    trainer = Trainer(
        model=reader,
        args=TrainingArguments(
            output_dir=str(folder),
            per_device_eval_batch_size=USUAL_BATCH,
            report_to=[],
            disable_tqdm=True,
            dataloader_pin_memory=torch.cuda.is_available(),
        ),
    )
    padded = _Padded(encoded)

    def loop() -> None:
        predictions: Any = trainer.predict(padded).predictions
        for row, start, end in zip(encoded, predictions[0], predictions[1], strict=True):
            top_answers(start[slice(*row.passage)], end[slice(*row.passage)])

    return loop


def top_answers(start: np.ndarray, end: np.ndarray) -> list[tuple[float, int, int]]:
    """The best of the 20 best starts with the 20 best ends, as question-answering examples pick them."""
    spans = [
        (float(start[first] + end[last]), first, last)
        for first in np.argsort(start)[-20:].tolist()
        for last in np.argsort(end)[-20:].tolist()
        if first <= last < first + MAX_ANSWER_TOKENS
    ]
    return sorted(spans, reverse=True)[:TOP_K]


def against_bare(pairs: int, *, num_layers: int = 6, count: int = ROWS) -> Iterator[Pair]:
    """Seconds of a fill, and of the forward passes over the same batches."""
    reader, encoded = model(num_layers), rows(count)
    with tempfile.TemporaryDirectory() as folder:
        ours = Filling(reader, encoded, Path(folder) / "cache")
        yield from interleaved(ours, bare(reader, encoded), pairs)


def against_usual(pairs: int, *, count: int = ROWS // 2) -> Iterator[Pair]:
    """Seconds of a fill, and of the usual loop over the same rows."""
    reader, encoded = model(6), rows(count)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours = Filling(reader, encoded, Path(folder) / "cache")
        yield from interleaved(ours, usual(reader, encoded, Path(folder) / "trainer"), pairs)


def waste(pairs: int) -> Iterator[Pair]:
    """Padded tokens of a fill, and real ones; no clock is read."""
    encoded = rows(2 * ROWS)
    lengths = np.array([len(row.input_ids) for row in encoded])
    padded = sum(len(batch) * int(lengths[batch].max()) for batch in token_batches(lengths, BATCH_TOKENS))
    for _ in range(pairs):
        yield float(padded), float(lengths.sum())


RATIOS = [
    Ratio(
        name="filling_over_forward",
        ours="fill of a cache with spans and attention block",
        other="bare forward passes over the same batches, padded beforehand",
        direction="at most",
        bar=1.05,
        measure=against_bare,
    ),
    Ratio(
        name="filling_over_usual_loop",
        ours="fill of a cache with spans and attention block",
        other="padding to the maximum, Trainer.predict, top-K in numpy",
        direction="at least",
        bar=1.5,
        measure=against_usual,
    ),
    Ratio(
        name="filling_padding",
        ours="tokens that the model reads",
        other="tokens of the rows",
        direction="at most",
        # A waste under 8 %.
        bar=1 / (1 - 0.08),
        measure=waste,
        unit="tokens",
    ),
    Ratio(
        name="filling_over_forward_2_layers",
        ours="fill of a cache with spans and attention block, 2-layer teacher",
        other="bare forward passes over the same batches, padded beforehand",
        direction="at most",
        bar=None,
        measure=partial(against_bare, num_layers=2),
    ),
]
