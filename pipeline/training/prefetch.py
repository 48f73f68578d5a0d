"""An iterator read ahead by one background thread."""

import queue
import threading
from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")

_END = object()
_POLL_S = 0.1


class Prefetch(Generic[Item]):
    """Items of `source`, in order, made up to `depth` ahead by a thread.

    An exception in `source` is raised where its item would have come. `close` ends the thread; it is
    called when the source is exhausted too.
    """

    def __init__(self, source: Iterator[Item], *, depth: int = 4) -> None:
        self.source = source
        self._queue: queue.Queue[tuple[object, BaseException | None]] = queue.Queue(maxsize=depth)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._fill, name="prefetch", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        if self._stopped.is_set():
            raise StopIteration
        item, error = self._queue.get()
        if error is not None or item is _END:
            self.close()
            raise error if error is not None else StopIteration
        return item  # type: ignore[return-value]

    def close(self) -> None:
        """End the thread; what it has read ahead is dropped."""
        self._stopped.set()
        self._thread.join()

    def _fill(self) -> None:
        try:
            for item in self.source:
                if not self._put(item, None):
                    return
            self._put(_END, None)
        except BaseException as error:  # the reader raises it
            self._put(_END, error)

    def _put(self, item: object, error: BaseException | None) -> bool:
        """Queue one entry; False where the reader has gone."""
        while not self._stopped.is_set():
            try:
                self._queue.put((item, error), timeout=_POLL_S)
                return True
            except queue.Full:
                continue
        return False
