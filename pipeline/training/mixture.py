"""How the rows of a phase's sources are read: all in one order, or one source drawn for each batch.

Like `pipeline.training.order`, a pure function of seed, epoch, lengths, batch size, world and rank.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from pipeline.training.order import Order, epoch_order, num_batches, random_of

# The random numbers that draw sources; sources themselves take the numbers from 0 on.
_DRAWS = -1


@dataclass(frozen=True)
class Mixture:
    """The order of the rows of one source or several, which are numbered through.

    Source: Yang et al. 2020, TextBrewer, arXiv:2002.12620, MultiTaskDistiller.
    Differs: a source that is read to its end begins again in another order, and an epoch takes up each
    source where the one before has left it, so that all of its rows are read equally often.

    Args:
        lengths: Of each source, what its rows cost.
        tau: Each batch is of one source, drawn with a probability proportional to (its number of
            batches)^tau, the same on all ranks; None puts the rows of all sources in one order.
    """

    lengths: Sequence[Int[np.ndarray, " _"]]
    tau: float | None = None

    def num_batches(self, *, batch_size: int, world: int) -> int:
        """How many batches each rank reads in an epoch: with `tau`, as many as all sources have together."""
        return sum(self._sizes(batch_size, world))

    def epoch(self, *, seed: int, epoch: int, batch_size: int, world: int = 1, rank: int = 0) -> Order:
        """The batches of `epoch` that `rank` reads.

        Args:
            seed: Of all epochs.
            epoch: Counted from 0.
            batch_size: Rows a batch and rank.
            world: How many ranks share the rows.
            rank: Which of them this is.
        """
        shared = {"seed": seed, "batch_size": batch_size, "world": world, "rank": rank}
        if self.tau is None:
            return epoch_order(np.concatenate(self.lengths), epoch=epoch, **shared)
        sizes = self._sizes(batch_size, world)
        drawn = self._drawn(sizes, seed, epoch)
        read = np.zeros(len(sizes), np.int64)
        for earlier in range(epoch):
            read += np.bincount(self._drawn(sizes, seed, earlier), minlength=len(sizes))
        rows = np.empty((len(drawn), batch_size), np.int64)
        counted = np.empty((len(drawn), batch_size), np.bool_)
        first_row = 0
        for source, (lengths, size) in enumerate(zip(self.lengths, sizes, strict=True)):
            places = np.flatnonzero(drawn == source)
            passes, at = np.divmod(read[source] + np.arange(len(places)), max(size, 1))
            for number in np.unique(passes).tolist():
                order = epoch_order(lengths, epoch=number, source=source, **shared)
                here = passes == number
                rows[places[here]] = first_row + order.rows[at[here]]
                counted[places[here]] = order.counted[at[here]]
            first_row += len(lengths)
        return Order(rows, counted)

    def _sizes(self, batch_size: int, world: int) -> list[int]:
        rows = [len(lengths) for lengths in self.lengths]
        counts = rows if self.tau is not None else [sum(rows)]
        return [num_batches(count, batch_size=batch_size, world=world) for count in counts]

    def _drawn(self, sizes: Sequence[int], seed: int, epoch: int) -> Int[np.ndarray, " batches"]:
        assert self.tau is not None
        shares = drawing_probabilities(sizes, self.tau)
        drawn: np.ndarray = random_of(seed, epoch, _DRAWS).choice(len(sizes), size=sum(sizes), p=shares)
        return drawn


def drawing_probabilities(sizes: Sequence[int], tau: float) -> Float[np.ndarray, " sources"]:
    """Proportional to sizes^tau; 0 for a source without batches."""
    batches = np.array(sizes, np.float64)
    powers = np.where(batches > 0, (batches / max(batches.max(), 1)) ** tau, 0.0)
    shares: np.ndarray = powers / powers.sum()
    return shares
