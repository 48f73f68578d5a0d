"""NarrativeQA (Kočiský et al. 2018, arXiv:1712.07040): questions about summaries, answered in free text.

A reader of spans learns from the span of the summary that has the highest Rouge-L against both answers
(Hu et al. 2018, sec. 4.1), and is scored against the answers.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline.datasets.best_span import best_span
from pipeline.datasets.records import Record, check_columns, records
from pipeline.datasets.rows import Broken, Rows, shown
from pipeline.schema import Answer, Example
from pipeline.text.treebank import word_spans, words

_SETS = ("train", "valid", "test")


def read(
    folder: Path,
    files: Mapping[str, str],
    *,
    questions: str = "qaps.csv",
    summaries: str = "third_party/wikipedia/summaries.csv",
    max_words: int = 800,
    max_answer_words: int = 30,
) -> Rows:
    """The questions of each split about summaries; a question without a summary is rejected.

    Args:
        folder: The repository of the data set.
        files: For each split, what the column `set` calls it: train, valid, test; these three where none is
            named.
        questions: The file of questions and answers.
        summaries: The file of summaries.
        max_words: Of a summary its first words are the context, this many (Hu et al. 2018, sec. 4.2).
        max_answer_words: The longest span to learn from.

    Raises:
        DataError: A file is missing or lacks a column.
    """
    wanted = dict(files) or {name: name for name in _SETS}
    contexts, broken = _contexts(folder / summaries, max_words)
    found: dict[str, list[Example | Broken]] = {split: [] for split in wanted}
    # Broken records do not say whose they are; the first split counts them.
    next(iter(found.values())).extend(broken)
    numbers: Counter[str] = Counter()
    columns = ("document_id", "set", "question", "answer1", "answer2")
    for record in _checked(folder / questions, columns):
        if isinstance(record, Broken):
            next(iter(found.values())).append(record)
            continue
        document = record["document_id"]
        name = f"{document}-{numbers[document]}"
        numbers[document] += 1
        for split, theirs in wanted.items():
            if record["set"] == theirs:
                context = contexts.get(document)
                found[split].append(_example(name, record, context, max_answer_words))
    return found


@dataclass(frozen=True)
class _Context:
    """The beginning of a summary, and where its words stand."""

    text: str
    words: list[str]
    spans: list[tuple[int, int]]


def _contexts(path: Path, max_words: int) -> tuple[dict[str, _Context], list[Broken]]:
    contexts, broken = {}, []
    for record in _checked(path, ("document_id", "summary")):
        if isinstance(record, Broken):
            broken.append(Broken(record.id, record.reason, f"{path.name}: {record.detail}"))
        else:
            contexts[record["document_id"]] = _context(record["summary"], max_words)
    return contexts, broken


def _context(summary: str, max_words: int) -> _Context:
    kept = list(islice(re.finditer(r"\S+", summary), max_words))
    text = summary[kept[0].start() : kept[-1].end()] if kept else ""
    return _Context(text, words(text), word_spans(text))


def _checked(path: Path, columns: tuple[str, ...]) -> Iterator[Record | Broken]:
    rows = records(path)
    first: Any = next(rows, None)
    if isinstance(first, Mapping):
        check_columns(path, first, columns)
    if first is not None:
        yield first
    yield from rows


def _example(name: str, record: Record, context: _Context | None, max_answer_words: int) -> Example | Broken:
    if context is None:
        return Broken(name, "no_summary", f"document {shown(record['document_id'])} has no summary")
    texts = tuple(text for column in ("answer1", "answer2") if (text := record[column].strip()))
    span = best_span(context.words, [words(text) for text in texts], max_words=max_answer_words)
    answers: tuple[Answer, ...] = ()
    if span is not None:
        start, end = context.spans[span[0]][0], context.spans[span[1]][1]
        answers = (Answer(context.text[start:end], start),)
    question = record["question"].strip()
    return Example(name, question, context.text, answers, gold_texts=texts)
