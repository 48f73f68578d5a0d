"""Stage vocabulary: a student's tokenizer and word vectors."""

from collections.abc import Iterator
from pathlib import Path

from pipeline.hub import local_folder
from pipeline.schema import Example
from pipeline.tables import read_rows
from pipeline.text.vectors import VectorFile, VectorTraining
from pipeline.text.vocabulary import vocabulary
from stages.folders import EXAMPLES, TOKENIZERS
from stages.params import load
from stages.running import entry, start
from stages.sections import Vectors


def run(name: str, params: Path) -> None:
    """Build a tokenizer from the text of data sets, or copy one, with word vectors if asked."""
    tokenizer = entry(load(params).tokenizers, name, "tokenizers")
    summary = vocabulary(
        TOKENIZERS / name,
        kind=tokenizer.kind,
        texts=_texts(tokenizer.text),
        source=local_folder(tokenizer.from_) if tokenizer.from_ else None,
        min_frequency=tokenizer.min_frequency,
        max_words=tokenizer.max_words,
        lowercase=tokenizer.lowercase,
        cls_token=tokenizer.cls_token,
        vectors=_vectors(tokenizer.vectors) if tokenizer.vectors else None,
    )
    print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in summary.items()))


def _texts(datasets: list[str]) -> Iterator[str]:
    for dataset in datasets:
        for table in sorted((EXAMPLES / dataset).glob("*.arrow")):
            for example in read_rows(table, Example):
                yield example.question
                yield example.context


def _vectors(vectors: Vectors) -> VectorFile | VectorTraining:
    if vectors.train is not None:
        return VectorTraining(**vectors.train.model_dump())
    return VectorFile(Path(str(vectors.file)))


if __name__ == "__main__":
    start("vocabulary", run)
