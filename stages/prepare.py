"""Stage prepare: raw files become examples, rows that cannot be used are set aside with a reason."""

from pathlib import Path

from pipeline.datasets.prepare import prepare
from pipeline.errors import DataError
from pipeline.tasks import RELEVANCE, TASKS
from stages.folders import EXAMPLES
from stages.params import load
from stages.running import entry, start


def run(name: str, params: Path) -> None:
    """Read a data set into examples; rejected rows go to rejects.jsonl with their reasons."""
    settings = load(params)
    read = {key: value for key, value in settings.datasets.items() if key not in settings.augmentations}
    dataset = entry(read, name, "datasets")
    summary = prepare(
        EXAMPLES / name,
        reader=dataset.reader,
        language=dataset.language,
        folder=Path(dataset.folder),
        files=dataset.files,
        options=dataset.options,
        keep_impossible=dataset.keep_impossible,
        labels=TASKS[dataset.task].labels,
    )
    for split, counts in summary["splits"].items():
        print(f"{name}.{split}: " + ", ".join(f"{value:,} {key}" for key, value in counts.items()))
    if dataset.task == RELEVANCE and len(summary["classes"]) > 2:
        raise DataError(
            dataset.folder,
            expected="two labels, of which the second by name says that a row is relevant",
            got=", ".join(summary["classes"]),
            remedy=f"write datasets.{name}.task: classification, or name the right column as label",
        )


if __name__ == "__main__":
    start("prepare", run)
