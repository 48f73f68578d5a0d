"""What work that can be spread needs of a cluster, whatever library runs it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True)
class Place:
    """Where a task is done.

    Args:
        threads: How many threads it may compute with, the same everywhere.
        number: Which of the processes started on this machine it is; None for a worker of another's.
        report: To be told how many more rows of the task are done.
    """

    threads: int
    number: int | None
    report: Callable[[int], None]


# Called with what all tasks share, a task, and where it is done.
Work = Callable[[Any, Any, Place], Any]


@runtime_checkable
class Workers(Protocol):
    """Processes, here or on other machines, each of which does one task at a time."""

    @property
    def count(self) -> int:
        """How many they are."""
        ...

    @property
    def threads(self) -> int:
        """How many threads a task may compute with, the same on all."""
        ...

    def run(self, work: Work, shared: Any, tasks: Sequence[Any], advance: Callable[[int], None]) -> list[Any]:
        """Call `work(shared, task, place)` for each task; the results, in the order of the tasks.

        A task whose worker dies is done again by another; a task that fails ends the run with its error.

        Args:
            work: A function of a module.
            shared: What all tasks need; sent once to each worker.
            tasks: One a call.
            advance: Told how many more rows are done.
        """
        ...

    def everywhere(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """The result of a function on each worker."""
        ...
