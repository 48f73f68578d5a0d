"""The option `--cluster` of commands whose work can be spread."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

# A student's process takes this module's options, and must not know what a teacher needs.
if TYPE_CHECKING:
    from pipeline.inference.workers import Workers

ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        help="Who does the work: local:N (N processes here), or a dask scheduler, tcp://host:port.",
    ),
]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", min=1, help="Threads a worker; its share of the cores if left out.")
]


@contextmanager
def workers(address: str | None, threads: int | None) -> "Iterator[Workers | None]":
    """The workers at `address`; None where there is none, which is this process."""
    if address is None:
        yield None
        return
    # dask takes a second to import, and only a cluster needs it.
    from pipeline.inference.scale_out import cluster

    with cluster(address, threads=threads) as found:
        yield found
