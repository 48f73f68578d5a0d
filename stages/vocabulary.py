"""Stage vocabulary: a student's tokenizer and word vectors."""

from collections.abc import Iterator
from pathlib import Path

from pipeline.schema import Example
from pipeline.tables import read_rows
from pipeline.text.vocabulary import vocabulary
from stages.folders import EXAMPLES, TOKENIZERS
from stages.params import load
from stages.running import entry, start


def run(name: str, params: Path) -> None:
    """Build a tokenizer from the text of data sets, or copy one, with word vectors if asked."""
    settings = entry(load(params).tokenizers, name, "tokenizers")
    print(f"{name}: {vocabulary(TOKENIZERS / name, texts=_texts(settings.text), settings=settings)}")


def _texts(datasets: list[str]) -> Iterator[str]:
    for dataset in datasets:
        for table in sorted((EXAMPLES / dataset).glob("*.arrow")):
            for example in read_rows(table, Example):
                yield example.question
                yield example.context


if __name__ == "__main__":
    start("vocabulary", run)
