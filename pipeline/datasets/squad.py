"""SQuAD-format JSON: SQuAD 1.1 and 2.0, and the many data sets that took over its layout.

Also CMRC2018's own layout, a list of contexts whose answers are texts without a place.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.datasets.records import files_of
from pipeline.datasets.rows import UNPLACED, Broken, Rows, row, shown
from pipeline.errors import DataError
from pipeline.files import read_json
from pipeline.schema import Example

_WHAT = "a SQuAD-format JSON file"


def read(folder: Path, files: Mapping[str, str]) -> Rows:
    """The rows of one JSON file a split.

    Raises:
        DataError: A file is missing, is not JSON, or is JSON of another layout.
    """
    return {split: _rows(path) for split, path in files_of(folder, files).items()}


def _rows(path: Path) -> Iterator[Example | Broken]:
    content = read_json(path, what=_WHAT)
    if isinstance(content, dict) and isinstance(content.get("data"), list):
        return _articles(content["data"])
    if isinstance(content, list) and all(
        isinstance(item, dict) and "context_text" in item for item in content
    ):
        return _cmrc2018(content)
    raise DataError(
        path,
        expected=f'{_WHAT}: an object with a list called "data"',
        got=f"keys {sorted(content)[:8]}" if isinstance(content, dict) else shown(content),
        remedy="check the file, or choose another reader",
    )


def _articles(articles: list[Any]) -> Iterator[Example | Broken]:
    for i, article in enumerate(articles):
        paragraphs = article.get("paragraphs") if isinstance(article, dict) else None
        if not isinstance(paragraphs, list):
            yield _broken(f"data[{i}]", "an object with a list called paragraphs", article)
            continue
        for j, paragraph in enumerate(paragraphs):
            yield from _paragraph(f"data[{i}].paragraphs[{j}]", paragraph)


def _paragraph(where: str, paragraph: Any) -> Iterator[Example | Broken]:
    questions = paragraph.get("qas") if isinstance(paragraph, dict) else None
    if not isinstance(questions, list):
        yield _broken(where, "an object with a list called qas", paragraph)
        return
    for k, qa in enumerate(questions):
        if not isinstance(qa, dict):
            yield _broken(f"{where}.qas[{k}]", "an object", qa)
            continue
        yield row(
            qa.get("id"),
            qa.get("question"),
            paragraph.get("context"),
            qa.get("answers"),
            qa.get("is_impossible"),
        )


def _cmrc2018(contexts: list[dict[str, Any]]) -> Iterator[Example | Broken]:
    for i, entry in enumerate(contexts):
        context, questions = entry["context_text"], entry.get("qas")
        if not isinstance(questions, list):
            yield _broken(f"[{i}]", "an object with a list called qas", entry)
            continue
        for k, qa in enumerate(questions):
            if not isinstance(qa, dict):
                yield _broken(f"[{i}].qas[{k}]", "an object", qa)
                continue
            answers = qa.get("answers")
            if isinstance(answers, list):
                answers = [_first_place(text, context) for text in answers]
            yield row(qa.get("query_id"), qa.get("query_text"), context, answers, None)


def _first_place(text: Any, context: Any) -> dict[str, Any]:
    """The answer at its first occurrence, which is where the data set's SQuAD-style edition places it."""
    both_texts = isinstance(text, str) and isinstance(context, str)
    return {"text": text, "answer_start": context.find(text) if both_texts else UNPLACED}


def _broken(where: str, expected: str, got: Any) -> Broken:
    return Broken("", "malformed", f"{where}: expected {expected}; got {shown(got)}")
