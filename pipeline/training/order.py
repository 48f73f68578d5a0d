"""In which order rows are read: a pure function of seed, epoch, lengths, batch size, world and rank.

Nothing here touches data, so that resuming, several ranks and "every row once" can be tested alone.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

WINDOW_BATCHES = 64
_AHEAD_ROWS = 512

# Rows to read, and which of them count.
Ticket = tuple[Int[np.ndarray, " batch"], Bool[np.ndarray, " batch"]]


@dataclass(frozen=True)
class Order:
    """The batches of one epoch, for one rank.

    `counted` is False for the filler rows that bring the short last batch to its size. A filler is a
    row that is read and then left out of every loss.
    """

    rows: Int[np.ndarray, "batches batch"]
    counted: Bool[np.ndarray, "batches batch"]

    def __len__(self) -> int:
        return len(self.rows)


def num_batches(num_rows: int, *, batch_size: int, world: int) -> int:
    """How many batches each rank reads in an epoch."""
    return -(-num_rows // (batch_size * world))


def epoch_order(
    lengths: Int[np.ndarray, " rows"],
    *,
    seed: int,
    epoch: int,
    batch_size: int,
    world: int = 1,
    rank: int = 0,
    source: int = 0,
) -> Order:
    """The batches of `epoch` that `rank` reads; over all ranks every row is counted exactly once.

    Rows are permuted, cut into windows of 64 global batches, sorted by length inside a window and cut
    into global batches, which are then permuted over the whole epoch. The rows that do not fill a
    global batch come last. A rank takes its slice of every global batch.

    Args:
        lengths: What a row costs; rows of like length share a batch.
        seed: Of all epochs.
        epoch: Counted from 0.
        batch_size: Rows a batch and rank.
        world: How many ranks share the rows.
        rank: Which of them this is.
        source: Sources of another number are permuted otherwise, at equal seed and epoch.
    """
    generator = random_of(seed, epoch, source)
    rows = generator.permutation(len(lengths))
    size = batch_size * world
    full = len(rows) // size * size
    shuffled, rest = rows[:full], rows[full:]
    batches = _length_sorted(shuffled, lengths[shuffled], size * WINDOW_BATCHES).reshape(-1, size)
    batches = batches[generator.permutation(len(batches))]
    counted = np.ones(batches.shape, dtype=np.bool_)
    if len(rest):
        filler = np.full(size - len(rest), rest[np.argmin(lengths[rest])])
        batches = np.concatenate([batches, np.concatenate([rest, filler])[None]])
        counted = np.concatenate([counted, (np.arange(size) < len(rest))[None]])
    # In the last batch a stride, not a run, gives each rank its share of the counted rows.
    mine = slice(rank, None, world)
    return Order(np.ascontiguousarray(batches[:, mine]), np.ascontiguousarray(counted[:, mine]))


def announced(
    tickets: Iterable[Ticket], announce: Callable[[Int[np.ndarray, " rows"]], None]
) -> Iterator[Ticket]:
    """The tickets as they come; `announce` is told of their rows, some hundred at a time, before."""
    ready: list[Ticket] = []
    ahead: list[Ticket] = []
    for ticket in tickets:
        ahead.append(ticket)
        if len(ahead) * len(ticket[0]) >= _AHEAD_ROWS:  # batches are of one size
            announce(np.concatenate([rows for rows, _ in ahead]))
            yield from ready
            ready, ahead = ahead, []
    if ahead:
        announce(np.concatenate([rows for rows, _ in ahead]))
    yield from ready
    yield from ahead


def _length_sorted(
    rows: Int[np.ndarray, " rows"], lengths: Int[np.ndarray, " rows"], window: int
) -> Int[np.ndarray, " rows"]:
    """`rows` sorted by length inside each window; ties stay in their random order."""
    windows = np.arange(len(rows)) // window
    return rows[np.lexsort((lengths, windows))]


def random_of(seed: int, epoch: int, stream: int) -> np.random.Generator:
    """Random numbers of an epoch; those of another seed, epoch or stream have nothing to do with them."""
    key, counter = np.array([_word(seed), _word(epoch)], np.uint64), np.zeros(4, np.uint64)
    counter[3] = _word(stream)
    return np.random.Generator(np.random.Philox(counter=counter, key=key))


def _word(value: int) -> int:
    """`value` as an unsigned 64-bit word, which Philox takes."""
    return value % (1 << 64)
