"""TF-IDF scores of sentences: all rows at once, against a scikit-learn fit for each row.

Both sides score every sentence of every context of CMRC2018 train against the row's question, with the same
terms; that the scores are equal is checked before a clock runs. The other side is given the terms ready-made;
ours starts from the text and pays for finding them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.feature_extraction.text import TfidfVectorizer

from benchmarks.pairs import Pair, Ratio, UnmeasurableError, interleaved
from benchmarks.shared import shared
from pipeline.datasets.rows import Broken
from pipeline.datasets.squad import read
from pipeline.selection.terms import TOKENS
from pipeline.selection.tfidf import sentence_scores
from pipeline.text.sentences import sentences

LANGUAGE = "zh"
TOLERANCE = 1e-6

_FILE = shared("data/cmrc2018/cmrc2018_train.json")

_Scores = Sequence[npt.NDArray[np.float64]]


@dataclass(frozen=True)
class Rows:
    """Questions, and the sentences of the context that each asks about; contexts are shared by rows."""

    questions: list[str]
    groups: list[int]
    documents: list[list[str]]

    @classmethod
    def of(cls, pairs: Sequence[tuple[str, str]]) -> "Rows":
        """Rows of questions and contexts, split into sentences."""
        numbers = {context: number for number, context in enumerate(dict.fromkeys(c for _, c in pairs))}
        documents = [[text[start:end] for start, end in sentences(text, LANGUAGE)] for text in numbers]
        return cls([question for question, _ in pairs], [numbers[context] for _, context in pairs], documents)


def ours(rows: Rows) -> _Scores:
    return sentence_scores(rows.questions, rows.groups, rows.documents, language=LANGUAGE)


def per_row(questions: Sequence[list[str]], documents: Sequence[list[list[str]]]) -> _Scores:
    """Cosines from a vectorizer fitted on each row's sentences, all given as lists of terms."""
    scores = []
    for question, document in zip(questions, documents, strict=True):
        vectorizer = TfidfVectorizer(analyzer=list)
        matrix = vectorizer.fit_transform(document)
        scores.append((matrix @ vectorizer.transform([question]).T).toarray()[:, 0])
    return scores


def measure_rows(rows: Rows, pairs: int) -> Iterator[Pair]:
    """Check that both sides agree on `rows`, then time them in `pairs` interleaved pairs."""
    tokens = TOKENS[LANGUAGE]
    questions = [tokens(question) for question in rows.questions]
    by_context = [[tokens(sentence) for sentence in document] for document in rows.documents]
    documents = [by_context[group] for group in rows.groups]
    for mine, theirs in zip(ours(rows), per_row(questions, documents), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=TOLERANCE)
    yield from interleaved(lambda: ours(rows), lambda: per_row(questions, documents), pairs)


def measure(pairs: int) -> Iterator[Pair]:
    """Seconds of both sides over CMRC2018 train."""
    if not _FILE.is_file():
        raise UnmeasurableError(f"no {_FILE}: set COLDBREW_SHARED, see docs/benchmarks.md")
    rows = read(_FILE.parent, {"train": _FILE.name})["train"]
    examples = [row for row in rows if not isinstance(row, Broken)]
    yield from measure_rows(Rows.of([(example.question, example.context) for example in examples]), pairs)


RATIOS = [
    Ratio(
        name="selection",
        ours="sentence_scores over CMRC2018 train, terms included",
        other="TfidfVectorizer fitted per row on ready-made terms",
        direction="at least",
        bar=10.0,
        measure=measure,
    )
]
