"""Telling the kernel which pages of mapped files will be read, where not all of them fit into memory.

A row that is read at random from a cache larger than memory costs a wait for the disk, and the kernel's own
guess at what comes next fetches what nobody wants. Announced in time, rows come as fast as in their order.
"""

import mmap
from pathlib import Path
from typing import no_type_check

import numpy as np
import psutil
from jaxtyping import Int64, Shaped
from numba import njit, types

_madvise = types.ExternalFunction("madvise", types.int32(types.uint64, types.uint64, types.int32))
_PAGE = mmap.PAGESIZE
_RANDOM, _WILL_NEED = 1, 3

# What a container may use: a number, or "max".
_LIMIT = Path("/sys/fs/cgroup/memory.max")


def exceeds_memory(num_bytes: int) -> bool:
    """Whether this machine, or the container around us, cannot keep so many bytes of files in memory now."""
    limit = _LIMIT.read_text().strip() if _LIMIT.is_file() else "max"
    available = int(psutil.virtual_memory().available)
    return num_bytes > (available if limit == "max" else min(available, int(limit)))


def read_at_random(values: Shaped[np.ndarray, "*shape"]) -> None:
    """Have the kernel fetch no more of mapped values than what is read or announced."""
    if values.nbytes:
        _advise(np.array([values.ctypes.data], np.int64), np.array([values.nbytes], np.int64), _RANDOM)


def announce(addresses: Int64[np.ndarray, " ranges"], sizes: Int64[np.ndarray, " ranges"]) -> None:
    """Have the kernel fetch ranges of mapped files, in the order of their addresses, without waiting.

    Args:
        addresses: Where each begins.
        sizes: Its bytes.
    """
    order = np.argsort(addresses)
    _advise(addresses[order], sizes[order], _WILL_NEED)


@njit("void(int64[::1], int64[::1], int64)", nogil=True, cache=True)
@no_type_check
def _advise(addresses, sizes, advice):
    start, end = np.int64(0), np.int64(0)
    for at in range(len(addresses)):
        first = addresses[at] // _PAGE * _PAGE
        if first > end or at == 0:
            if end > start:
                _madvise(np.uint64(start), np.uint64(end - start), np.int32(advice))
            start, end = first, first
        end = max(end, addresses[at] + sizes[at])
    # What the kernel answers does not matter: it was told something that it need not heed.
    if end > start:
        _madvise(np.uint64(start), np.uint64(end - start), np.int32(advice))
