"""Stage select: contexts are shortened to what a teacher can read."""

from pathlib import Path

from pipeline.inference.spread_selection import transform_on
from pipeline.selection.select import select, transform_here
from stages.clusters import workers
from stages.folders import EXAMPLES, PASSAGES
from stages.params import load
from stages.running import entry, start


def run(name: str, params: Path, *, cluster: str | None = None, threads: int | None = None) -> None:
    """Turn a data set's examples into passages, and say how many answers survive."""
    settings = load(params)
    selection = entry(settings.selection, name, "selection")
    options = selection.model_dump(exclude={"method", "tokenizer", "options"}, exclude_unset=True)
    with workers(cluster, threads) as found:
        report = select(
            EXAMPLES / name,
            PASSAGES / name,
            language=settings.datasets[name].language,
            method=selection.method,
            tokenizer=Path(selection.tokenizer),
            transform=transform_here if found is None else transform_on(found),
            **options,
            **selection.options,
        )
    for split, counts in report["splits"].items():
        print(f"{name}.{split}: " + ", ".join(f"{key} {value}" for key, value in counts.items()))


if __name__ == "__main__":
    start("select", run)
