"""From float32 to 16 bits, to the nearest and ties to even: numpy's own cast takes several times as long.

numba has no float16 on a CPU, so floating numbers are their bits here.
"""

from typing import no_type_check

import numpy as np
from jaxtyping import Float16, Float32, UInt16
from numba import njit

_MAGNITUDE = np.uint32(0x7FFFFFFF)


def largest(values: Float32[np.ndarray, " values"]) -> float:
    """The greatest magnitude, 0 of nothing; not a number or infinite where one of the values is."""
    return float(np.array(_largest(values.view(np.uint32)), np.uint32).view(np.float32))


def to_float16(values: Float32[np.ndarray, " values"]) -> Float16[np.ndarray, " values"]:
    """Numbers, none of them not one, as float16; what is too large becomes infinite."""
    rounded = np.empty(len(values), np.uint16)
    _to_float16(values.view(np.uint32), rounded)
    return rounded.view(np.float16)


def to_bfloat16(values: Float32[np.ndarray, " values"]) -> UInt16[np.ndarray, " values"]:
    """Numbers, none of them not one, as the bits of bfloat16; what is too large becomes infinite."""
    rounded = np.empty(len(values), np.uint16)
    _to_bfloat16(values.view(np.uint32), rounded)
    return rounded


@njit("uint32(uint32[::1])", nogil=True, cache=True)
@no_type_check
def _largest(bits):
    found = np.uint32(0)
    # Without their sign, the bits of floating numbers are in the order of the numbers.
    for at in range(len(bits)):
        found = max(found, bits[at] & _MAGNITUDE)
    return found


@njit("void(uint32[::1], uint16[::1])", nogil=True, cache=True)
@no_type_check
def _to_float16(bits, rounded):
    one = np.uint32(1)
    for at in range(len(bits)):
        size = bits[at] & _MAGNITUDE
        exponent = size >> np.uint32(23)
        # Half of what is cut off, less one where the last bit that stays is even.
        kept = size - np.uint32((127 - 15) << 23) + np.uint32(0xFFF) + ((size >> np.uint32(13)) & one)
        # Below 2**-14 float16 has no exponent: its unit is 2**-24, of which half or less is nothing.
        cut = np.uint32(126) - min(max(exponent, np.uint32(95)), np.uint32(112))
        digits = (size & np.uint32(0x7FFFFF)) | np.uint32(0x800000)
        small = (digits + (one << (cut - one)) - one + ((digits >> cut) & one)) >> cut
        # Both are computed, so that there is no branch and the compiler takes many values at once.
        half = min(kept >> np.uint32(13) if exponent > np.uint32(112) else small, np.uint32(0x7C00))
        rounded[at] = np.uint16(half | ((bits[at] >> np.uint32(16)) & np.uint32(0x8000)))


@njit("void(uint32[::1], uint16[::1])", nogil=True, cache=True)
@no_type_check
def _to_bfloat16(bits, rounded):
    for at in range(len(bits)):
        even = (bits[at] >> np.uint32(16)) & np.uint32(1)
        rounded[at] = np.uint16((bits[at] + np.uint32(0x7FFF) + even) >> np.uint32(16))
