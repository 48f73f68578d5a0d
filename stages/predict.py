"""Predictions of a student or teacher: JSON lines in, JSON lines out."""

import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import DataError
from pipeline.evaluation.predict import predict_lines
from pipeline.evaluation.vectors import Pooling
from pipeline.files import new_file, read_json
from pipeline.objectives.declarations import NULL_ANSWER
from pipeline.tasks import PASSAGE_READERS
from pipeline.text.tokenizers import Encoder
from pipeline.text.unicode import is_unicode
from stages.folders import PARAMS
from stages.model_folders import model_folder
from stages.params import load
from stages.read_sets import question_limit, read_by, trained_on
from stages.sections import Params, Student, Teacher

_STANDARD = Path("-")


def predict(
    name: str,
    source: Path,
    output: Path,
    heads: Sequence[str] = (),
    pooling: str | None = None,
    null_threshold: float | None = None,
    params: Path = PARAMS,
) -> None:
    """Answer the rows of `source`; a row that cannot be answered gets an error row, and is counted.

    A student or teacher that was taught that a question may have no answer says so, past the threshold of
    params where none is given.

    Raises:
        PipelineError: There is no such model, or no such file.
    """
    folder = Path(name)
    # Checked with their models, so that an architecture of one's own is known by then.
    settings = load(params, models=True) if params.is_file() else None
    if not (folder / "config.json").is_file():
        folder = model_folder(settings or load(params), name)[1]
    options: dict[str, Any] = {"max_answer_tokens": 30}
    if settings is not None:
        options = _options(settings, name, folder)
    if pooling is not None:
        options["pooling"] = Pooling(pooling)
    if null_threshold is not None:
        options["null_threshold"] = null_threshold
    errors = rows = 0
    with _lines(source) as lines, _writer(output) as write:
        for answer in predict_lines(folder, lines, heads=heads, **options):
            write(_line(answer) + "\n")
            rows, errors = rows + 1, errors + ("error" in answer)
    print(f"{rows:,} rows in, {rows - errors:,} answered, {errors:,} with an error", file=sys.stderr)


def _options(settings: Params, name: str, folder: Path) -> dict[str, Any]:
    """What params say of the predictions; of a model folder, its configuration says what it can."""
    own: dict[str, Any] = {"max_answer_tokens": settings.evaluation.max_answer_tokens}
    described = settings.students.get(name) or settings.teachers.get(name)
    if described is not None:
        read = trained_on(described) if isinstance(described, Student) else read_by(settings, name, described)
        own |= {
            "task": described.task,
            "pooling": Pooling(**described.vector) if described.vector else None,
        }
        if read:
            # As where it is trained and scored.
            own["max_question_tokens"] = question_limit(settings, read)
        if _taught_no_answer(described, settings) and _says_no_answer(folder):
            own["null_threshold"] = settings.evaluation.null_score_diff_threshold
    return own


def _taught_no_answer(described: Student | Teacher, settings: Params) -> bool:
    if isinstance(described, Student):
        return any(term.get(NULL_ANSWER) for phase in described.phases for term in phase.terms)
    return described.train is not None and settings.datasets[described.train.dataset].keep_impossible


def _says_no_answer(folder: Path) -> bool:
    """Whether a reader has logits for no answer: not of the passage alone, and a token to say it at."""
    config = read_json(folder / "config.json", what="the configuration of a model")
    return config.get("model_type") not in PASSAGE_READERS and Encoder.open(folder).has_first


def _line(answer: dict[str, Any]) -> str:
    text = json.dumps(answer, ensure_ascii=False)
    return text if is_unicode(text) else json.dumps(answer)


@contextmanager
def _lines(source: Path) -> Iterator[Iterable[str]]:
    # Bytes that are no UTF-8 end one row with an error, not the run.
    if source == _STANDARD:
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(encoding="utf-8-sig", errors="surrogateescape")
        yield sys.stdin
        return
    try:
        with source.open(encoding="utf-8-sig", errors="surrogateescape") as file:
            yield file
    except OSError as error:
        raise DataError(
            source,
            expected="JSON lines with question and context, or text",
            got=str(error.strerror),
            remedy="check the path",
        ) from error


@contextmanager
def _writer(output: Path) -> Iterator[Callable[[str], object]]:
    if output == _STANDARD:
        yield sys.stdout.write
        return
    with new_file(output) as temporary, temporary.open("w", encoding="utf-8") as file:
        yield file.write
