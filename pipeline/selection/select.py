"""Examples to passages: every split of a data set, with a report of what was kept."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import DataError, ParamsError
from pipeline.files import new_folder, write_json
from pipeline.progress import track
from pipeline.schema import Example, Passage
from pipeline.selection import SELECTORS
from pipeline.selection.coverage import coverage
from pipeline.selection.passages import passages
from pipeline.tables import read_rows, write_rows

# Many rows at once are what makes selection fast; a block bounds the memory and moves the progress bar.
_BLOCK = 16_384


def select(examples: Path, out: Path, *, language: str, method: str, **options: Any) -> dict[str, Any]:
    """Write the passages of every split in `examples` to `out`, with coverage.json and dataset.json.

    Args:
        examples: Folder with a table of examples a split.
        out: Folder for a table of passages a split; replaced if it is there.
        language: "en" or "zh".
        method: Name of a selection method.
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
    selector.fit([_pair(example) for rows in splits.values() for example in rows])
    report: dict[str, Any] = {"method": method, "splits": {}}
    with new_folder(out) as folder:
        for split, rows in splits.items():
            kept, report["splits"][split] = _split(selector, rows, f"select {examples.name} {split}")
            write_rows(folder / f"{split}.arrow", Passage, kept)
        write_json(folder / "coverage.json", report)
        counts = {split: counted["passages"] for split, counted in report["splits"].items()}
        write_json(folder / "dataset.json", {"language": language, "splits": counts})
    return report


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


def _split(selector: Any, rows: Sequence[Example], label: str) -> tuple[list[Passage], dict[str, Any]]:
    selections = []
    with track(len(rows), label) as advance:
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK]
            selections += selector.transform([_pair(example) for example in block])
            advance(len(block))
    windows = [passages(row, example, selections[row]) for row, example in enumerate(rows)]
    return [passage for row in windows for passage in row], coverage(selections, windows)


def _pair(example: Example) -> tuple[str, str]:
    return example.question, example.context
