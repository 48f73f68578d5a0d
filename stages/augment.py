"""Stage augment: more rows are made out of those of a data set, for a teacher to read like any others."""

from pathlib import Path

from pipeline.augmentation.augment import augment
from pipeline.tasks import TASKS
from stages.folders import EXAMPLES
from stages.params import load
from stages.running import entry, start


def run(name: str, params: Path) -> None:
    """Make a data set out of another by changing its words; only a teacher need label it."""
    settings = load(params)
    augmentation = entry(settings.augmentations, name, "augmentations")
    dataset = settings.datasets[name]
    summary = augment(
        EXAMPLES / augmentation.dataset,
        EXAMPLES / name,
        language=dataset.language,
        labels=TASKS[dataset.task].labels,
        keep_labels=augmentation.labels == "keep",
        **augmentation.model_dump(exclude={"dataset", "labels"}),
    )
    for split, counts in summary["splits"].items():
        found = counts | summary["reasons"][split]
        print(f"{name}.{split}: " + ", ".join(f"{value:,} {key}" for key, value in found.items()))


if __name__ == "__main__":
    start("augment", run)
