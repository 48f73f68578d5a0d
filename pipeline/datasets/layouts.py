"""Files of pairs whose columns are known by name, or by number where they have no header."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pipeline.datasets.pairs import examples
from pipeline.datasets.records import records
from pipeline.datasets.rows import Broken
from pipeline.errors import DataError
from pipeline.schema import Example

_IDS = ("index", "id", "pairID")


@dataclass(frozen=True)
class Layout:
    """The columns of a file; `bare` are those of a file without a header."""

    text: str
    question: str | None = None
    label: str = "label"
    bare: tuple[str, ...] = ()

    @property
    def texts(self) -> set[str]:
        """The columns that every such file has."""
        return {self.text} if self.question is None else {self.question, self.text}


def laid_out(
    path: Path,
    layouts: Sequence[Layout],
    *,
    remedy: str,
    unlabelled: str | None = None,
    only: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Example | Broken]:
    """The rows of a file in the first of `layouts` that fits; one without the column of labels has none.

    Args:
        path: The file.
        layouts: Those it may have.
        remedy: What to do where it has none of them.
        unlabelled: The label that means that a row has none.
        only: What columns must hold; other rows are not of this data set.

    Raises:
        DataError: The file is missing or has another layout.
    """
    first = next(records(path, columns=[]), None)
    cells = [str(value).strip() for value in first.values()] if isinstance(first, Mapping) else []
    names = {*cells, *(first if isinstance(first, Mapping) else ())}
    named = (layout for layout in layouts if layout.texts <= names)
    bare = (layout for layout in layouts if layout.bare and len(layout.bare) == len(cells))
    layout, rows = next(named, None), records(path)
    if layout is None:
        layout = next(bare, None)
        if layout is None:
            raise DataError(
                path,
                expected=" or ".join(f"columns called {_listed(layout)}" for layout in layouts),
                got=", ".join(cells) or "no lines",
                remedy=remedy,
            )
        names, rows = set(layout.bare), records(path, columns=layout.bare)
    absent = sorted(set(only) - names)
    if absent:
        raise DataError(
            path,
            expected=f"a column called {_and(absent)}, which says what rows to read",
            got=", ".join(sorted(names)),
            remedy=f"leave out the option that asks for it ({_and(absent)})",
        )
    return examples(
        path,
        (row for row in rows if isinstance(row, Broken) or only.items() <= row.items()),
        text=layout.text,
        question=layout.question,
        label=layout.label,
        id=next((name for name in _IDS if name in names), None),
        unlabelled=unlabelled,
    )


def _and(names: Sequence[str]) -> str:
    return " and ".join(map(repr, names))


def _listed(layout: Layout) -> str:
    columns = [layout.question, layout.text, layout.label]
    return ", ".join(repr(name) for name in columns if name is not None)
