"""XNLI (Conneau et al. 2018, arXiv:1809.05053) in the layouts that it is handed on in."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from pipeline.datasets.layouts import Layout, laid_out
from pipeline.datasets.records import files_of
from pipeline.datasets.rows import Broken, Rows, shown
from pipeline.schema import Example

_LABELS = ("contradiction", "entailment", "neutral")
# As the machine-translated training files spell it.
_SPELT = {"contradictory": "contradiction"}

_LAYOUTS = (
    # The corpus' own files, of all its languages.
    Layout("sentence2", "sentence1", "gold_label"),
    # One language a file, as the code of BERT and its kin reads it, or without a header.
    Layout("text_b", "text_a", bare=("text_a", "text_b", "label")),
    # The machine-translated training files, and the edition on the hub where its classes have names: of their
    # numbers only reader 'hub' knows them.
    Layout("hypo", "premise"),
    Layout("hypothesis", "premise"),
)


def read(folder: Path, files: Mapping[str, str], *, language: str | None = None) -> Rows:
    """The pairs of one file a split, labelled contradiction, entailment or neutral.

    Args:
        folder: Where the files are.
        files: The file of each split; its suffix says its format, .tsv and .txt are parted by tabs.
        language: Which rows to read of a file that holds several languages, such as "zh"; they are named in
            its column `language`.

    Raises:
        DataError: A file is missing or has another layout.
    """
    return {split: _rows(path, language) for split, path in files_of(folder, files).items()}


def _rows(path: Path, language: str | None) -> Iterator[Example | Broken]:
    rows = laid_out(
        path,
        _LAYOUTS,
        remedy="check the file, or use reader 'pairs'",
        unlabelled="-",
        only={"language": language} if language is not None else {},
    )
    return (_labelled(row) if isinstance(row, Example) else row for row in rows)


def _labelled(row: Example) -> Example | Broken:
    if row.labels is None:
        return row
    (label,) = row.labels
    label = _SPELT.get(label, label)
    if label not in _LABELS:
        return Broken(row.id, "wrong_label", f"expected {', '.join(_LABELS)} or -; got {shown(label)}")
    return replace(row, labels=(label,))
