"""Examples to passages: every split of a data set, with a report of what was kept."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import DataError, ParamsError
from pipeline.files import new_folder, read_json, write_json
from pipeline.progress import track
from pipeline.schema import Example, Passage
from pipeline.selection import SELECTORS
from pipeline.selection.coverage import coverage
from pipeline.selection.passages import passages
from pipeline.selection.selected import Pair, Selected
from pipeline.tables import read_rows, write_rows

# Many rows at once are what makes selection fast, and more than this made it no faster. A block bounds the
# memory and is what a worker of a cluster is given.
BLOCK = 2_048

# Given a fitted selector, a table of examples, its rows, and what to tell of rows done: what is kept of each.
Transform = Callable[[Any, Path, Sequence[Example], Callable[[int], None]], list[Selected]]


def transform_here(
    selector: Any, table: Path, rows: Sequence[Example], advance: Callable[[int], None]
) -> list[Selected]:
    """What `selector` keeps of each row, worked out in this process."""
    selections = []
    for block in blocks(len(rows)):
        selections += selector.transform(pairs(rows[block]))
        advance(len(rows[block]))
    return selections


def blocks(count: int) -> Iterator[slice]:
    """The rows that a selector is given together; the same however many processes work."""
    return (slice(start, min(start + BLOCK, count)) for start in range(0, count, BLOCK))


def pairs(rows: Sequence[Example]) -> list[Pair]:
    """Examples as selectors see them."""
    return [(example.question, example.context) for example in rows]


def select(
    examples: Path,
    out: Path,
    *,
    language: str,
    method: str,
    transform: Transform = transform_here,
    **options: Any,
) -> dict[str, Any]:
    """Write the passages of every split in `examples` to `out`, with coverage.json and dataset.json.

    Args:
        examples: Folder with a table of examples a split.
        out: Folder for a table of passages a split; replaced if it is there.
        language: "en" or "zh".
        method: Name of a selection method.
        transform: What has a fitted selector work on rows: this process, or a cluster.
        options: The method's own.

    Returns:
        The coverage: for each split, rows cut and answers kept.

    Raises:
        DataError: There is no split.
        ParamsError: The method or an option is unknown.
    """
    tables = sorted(examples.glob("*.arrow"))
    if not tables:
        raise DataError(
            examples, expected="a table of examples a split", got="none", remedy="run the prepare stage"
        )
    splits = {table.stem: read_rows(table, Example) for table in tables}
    selector = _selector(method, language, options)
    selector.fit([pair for rows in splits.values() for pair in pairs(rows)])
    report: dict[str, Any] = {"method": method, "splits": {}}
    with new_folder(out) as folder:
        for split, rows in splits.items():
            with track(len(rows), f"select {examples.name} {split}") as advance:
                selections = transform(selector, examples / f"{split}.arrow", rows, advance)
            windows = [passages(row, example, selections[row]) for row, example in enumerate(rows)]
            kept = [passage for row in windows for passage in row]
            report["splits"][split] = coverage(selections, windows)
            write_rows(folder / f"{split}.arrow", Passage, kept)
        write_json(folder / "coverage.json", report)
        counts = {split: counted["passages"] for split, counted in report["splits"].items()}
        described: dict[str, Any] = {"language": language, "splits": counts}
        if (classes := _classes(examples)) is not None:
            described["classes"] = classes
        write_json(folder / "dataset.json", described)
    return report


def _classes(examples: Path) -> list[str] | None:
    """The classes of the data set's task, in order; None where it has none."""
    summary = examples / "summary.json"
    return read_json(summary).get("classes") if summary.is_file() else None


def _selector(method: str, language: str, options: dict[str, Any]) -> Any:
    factory = SELECTORS.load(method)
    if "language" in factory().get_params():
        options = {"language": language, **options}
    problems = SELECTORS.option_problems(method, options)
    if problems:
        raise ParamsError(
            f"selection method {method!r}",
            expected="options that the method has",
            got="; ".join(problems),
            remedy="correct them",
        )
    return factory(**options)
