"""Work on a cluster of dask.distributed: processes of this machine, or any scheduler's.

The cluster carries small things only: which shards, which rows. What is large lies in folders that all
machines see under the same paths.
"""

import logging
import os
import queue
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import dask
from distributed import Client, Future, LocalCluster, get_worker
from distributed.scheduler import KilledWorker

from pipeline.errors import ParamsError, PipelineError
from pipeline.inference.workers import Place, Work, Workers

_LOCAL = "local:"
_CONNECT_S = 30
_LOOK_S = 5.0


@contextmanager
def cluster(address: str, *, threads: int | None = None) -> Iterator[Workers]:
    """The workers at `address`.

    Args:
        address: `local:N` for N processes on this machine, or that of a scheduler, such as `tcp://host:8786`,
            whose workers have one thread each.
        threads: Threads that a worker computes with; its share of the cores if None. Last bits depend on it.

    Raises:
        ParamsError: The address is none, nobody answers there, or its workers are not fit.
    """
    if address.startswith(_LOCAL):
        with _local(_processes(address), threads) as workers:
            yield workers
        return
    if not urlsplit(address).scheme or "://" not in address:
        raise _unusable(
            address, "local:N or the address of a scheduler", repr(address), "write tcp://host:8786"
        )
    with _quiet(), _connected(address) as client:
        yield _Cluster(client, _threads(client, address, threads), is_local=False)


def _processes(address: str) -> int:
    text = address.removeprefix(_LOCAL)
    if not text.isdecimal() or int(text) < 1:
        raise _unusable(address, "local:N with N processes", repr(text), "write a number from 1, local:2")
    return int(text)


@contextmanager
def _local(count: int, threads: int | None) -> Iterator[Workers]:
    threads = threads or max(1, len(os.sched_getaffinity(0)) // count)
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
    environment = {f"distributed.nanny.pre-spawn-environ.{name}": threads for name in names}
    with (
        _quiet(),
        dask.config.set(environment),
        # No memory limit: a teacher may be large, and dask would stop its worker.
        LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            processes=True,
            memory_limit=0,
            host="127.0.0.1",
            dashboard_address=None,
            # Without a dashboard there is a server of metrics still: any port, not the one that all want.
            scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
            silence_logs=logging.CRITICAL,
            preload=[__name__],
        ) as processes,
        Client(processes, timeout=_CONNECT_S) as client,
    ):
        yield _Cluster(client, threads, is_local=True)


def dask_setup(worker: Any) -> None:
    """What dask calls when a worker of `local:N` starts: an interrupt is for who started the cluster."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    try:
        client = Client(address, timeout=_CONNECT_S)
    except (OSError, ValueError) as error:
        raise _unusable(address, "a scheduler that answers", str(error), "start one, or mend it") from error
    with client:
        yield client


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep dask's notes on workers that come and go out of the way; what matters is raised."""
    levels = {name: logging.getLogger(name).level for name in ("distributed", "distributed.client")}
    for name in levels:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _threads(client: Client, address: str, threads: int | None) -> int:
    workers = client.scheduler_info(n_workers=-1)["workers"]
    if not workers:
        raise _unusable(address, "workers", "none", "start some: dask worker ADDRESS --nthreads 1")
    crowded = [name for name, worker in workers.items() if worker["nthreads"] != 1]
    if crowded:
        raise _unusable(
            address,
            "workers with one thread each, because a teacher reads one task at a time",
            f"{len(crowded)} with more, such as {crowded[0]}",
            "start them with --nthreads 1, one a GPU",
        )
    cores = client.run(_cores)
    hosts = Counter(worker["host"] for worker in workers.values())
    return threads or max(1, min(cores[name] // hosts[worker["host"]] for name, worker in workers.items()))


def _cores() -> int:
    return len(os.sched_getaffinity(0))


class _Cluster:
    """Workers behind a dask client."""

    def __init__(self, client: Client, threads: int, *, is_local: bool) -> None:
        self.threads, self._is_local = threads, is_local
        self._client = client
        self._where = f"cluster {client.scheduler.address}"

    @property
    def count(self) -> int:
        """How many workers there are now."""
        return len(self._client.scheduler_info(n_workers=-1)["workers"])

    def everywhere(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """The result of a function on each worker."""
        return list(self._client.run(function, *arguments).values())

    def run(self, work: Work, shared: Any, tasks: Sequence[Any], advance: Callable[[int], None]) -> list[Any]:
        """Call `work(shared, task, place)` for each task; the results, in the order of the tasks.

        Raises:
            PipelineError: That of a task, or the cluster is lost.
        """
        name = f"coldbrew-{uuid4().hex}"
        # What happens in other threads comes here: rows done of a task, or a task's end.
        news: queue.Queue[tuple[int, int | None]] = queue.Queue()
        self._client.subscribe_topic(name, lambda event: news.put(tuple(event[1])))
        # A future, not a scattered value: what a dead worker held is made again.
        held = self._client.submit(_held, shared, key=f"{name}-shared", pure=False)
        futures = [
            self._client.submit(
                _Call(work, name, number, self.threads, self._is_local),
                held,
                task,
                key=f"{name}-{number}",
                pure=False,
            )
            for number, task in enumerate(tasks)
        ]
        try:
            for number, future in enumerate(futures):
                future.add_done_callback(lambda _, number=number: news.put((number, None)))
            return self._results(futures, news, advance)
        finally:
            self._client.cancel([held, *futures])
            self._client.unsubscribe_topic(name)

    def _results(
        self,
        futures: Sequence[Future],
        news: "queue.Queue[tuple[int, int | None]]",
        advance: Callable[[int], None],
    ) -> list[Any]:
        results: dict[int, Any] = {}
        done = [0] * len(futures)
        while len(results) < len(futures):
            try:
                number, rows = news.get(timeout=_LOOK_S)
            except queue.Empty:
                if self._client.status != "running":
                    raise self._lost("no connection any more") from None
                continue
            if rows is None:
                results[number], rows = self._result(futures[number])
            # A task that is done again starts again; what it had told counts.
            if rows > done[number]:
                advance(rows - done[number])
                done[number] = rows
        return [results[number] for number in range(len(futures))]

    def _result(self, future: Future) -> Any:
        if future.status == "cancelled":
            raise self._lost("a task was cancelled")
        try:
            return future.result()
        except KilledWorker as error:
            raise self._lost(f"a task whose workers died {error.allowed_failures + 1} times") from error

    def _lost(self, got: str) -> PipelineError:
        return PipelineError(
            self._where,
            expected="workers that live until their tasks are done",
            got=got,
            remedy="look for memory that ran out, and run again: what is whole stays",
        )


def _held(shared: Any) -> Any:
    return shared


@dataclass(frozen=True)
class _Call:
    """On a worker: one task of a run.

    Args:
        work: What to do.
        name: The run's name, under which rows are reported.
        number: The task's.
        threads: As of `Place`.
        is_local: Whether the worker was started by `local:N`, and so is called 0 to N - 1.
    """

    work: Work
    name: str
    number: int
    threads: int
    is_local: bool

    def __call__(self, shared: Any, task: Any) -> tuple[Any, int]:
        """The task's result, and how many rows it has reported."""
        worker = get_worker()
        done = 0

        def report(count: int) -> None:
            nonlocal done
            done += count
            worker.log_event(self.name, (self.number, done))

        place = Place(self.threads, int(worker.name) if self.is_local else None, report)
        return self.work(shared, task, place), done


def _unusable(address: str, expected: str, got: str, remedy: str) -> ParamsError:
    return ParamsError(f"--cluster {address}", expected=expected, got=got, remedy=remedy)
