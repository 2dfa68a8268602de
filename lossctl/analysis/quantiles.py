"""Exact quantiles of more numbers than fit in memory, by radix selection on their bits.

The bits of a float64, with all bits but the sign inverted if it is negative, are a signed integer key in the order of
the numbers. A histogram of the first 16 bits of the keys gives the bin, one of 65,536, that contains a rank; a
histogram of the next 16 bits gives its part of that bin, and so on. This takes at most four passes over the numbers,
and two if the contents of the bin fit in memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array
from lossctl.immutable import immutable

Keys = npt.NDArray[np.int64]

_BITS = 16
# Maximum count of numbers (16 MiB) that are collected and sorted instead of being counted in another pass.
_GATHERED = 1 << 21
_PIECE = 1 << 15  # numbers per histogram update: they stay in the cache
_MAGNITUDE = np.int64(0x7FFF_FFFF_FFFF_FFFF)


def order_statistics(chunks: Callable[[], Iterable[Array]], ranks: Sequence[int]) -> list[float]:
    """Return the order statistics at the given ranks.

    Args:
        chunks: returns an iterable over all numbers, as arrays without NaN; called once per pass.
        ranks: ranks from 0 for the smallest number.

    >>> order_statistics(lambda: [np.array([4.0, 1.0]), np.array([3.0, 2.0])], [0, 3])
    [1.0, 4.0]
    """
    # (low, width, rank within the interval) of each rank: its key lies in [low, low + 2**width).
    places = [(-(1 << 63), 64, rank) for rank in ranks]
    while True:
        width = places[0][1] - _BITS
        counted = {low: np.zeros(1 << _BITS, np.int64) for low, _, _ in places}
        for keys in _keys(chunks()):
            for low in counted:
                counted[low] += _histogram(keys, low, width)
        places = [_narrowed(counted[low], low, width, rank) for low, _, rank in places]
        counts = {
            low: int(counted[before][(low - before) >> width]) for low, before in _parents(places, counted, width)
        }
        if not width or sum(counts.values()) <= _GATHERED:
            break
    if not width:
        return [_double(low) for low, _, _ in places]
    gathered = {low: [np.empty(0, np.int64)] for low in counts}
    for keys in _keys(chunks()):
        high = keys >> width
        for low, parts in gathered.items():
            parts.append(keys[high == low >> width])
    ordered = {low: np.sort(np.concatenate(parts)) for low, parts in gathered.items()}
    return [_double(int(ordered[low][rank])) for low, _, rank in places]


@immutable
class QuantilePosition:
    """Position of a quantile: between the ranks ``below`` and ``above``, at the fraction ``part`` of the distance."""

    below: int
    above: int
    part: float

    def value(self, at: Mapping[int, float]) -> float:
        """Interpolate the quantile between the order statistics ``at`` its ranks.

        As in NumPy, the interpolation starts from the nearer one.
        """
        a, b, t = at[self.below], at[self.above], self.part
        step = b - a
        if not t or a == b:
            return a
        if math.isinf(step):  # a or b is infinite, or b - a overflows
            return a * (1.0 - t) + b * t
        return a + step * t if t < 0.5 else b - step * (1.0 - t)


def quantile_position(q: float, n: int) -> QuantilePosition:
    """Return the position of the quantile ``q`` of ``n`` numbers, by the default (linear) method of ``numpy.quantile``.

    >>> quantile_position(0.9, 4)
    QuantilePosition(below=2, above=3, part=0.7...)
    """
    place = q * (n - 1)
    below = math.floor(place)
    return QuantilePosition(below, min(below + 1, n - 1), place - below)


def _keys(chunks: Iterable[Array]) -> Iterator[Keys]:
    for chunk in chunks:
        for start in range(0, len(chunk), _PIECE):
            bits = np.ascontiguousarray(chunk[start : start + _PIECE]).view(np.int64)
            if bits.min() < 0:  # most losses are not negative: their bits are the keys
                bits = (chunk[start : start + _PIECE] + 0.0).view(np.int64)  # -0.0 becomes 0.0
                bits ^= (bits >> 63) & _MAGNITUDE
            yield bits


def _inside(keys: Keys, low: int, width: int) -> npt.NDArray[np.bool_]:
    return np.asarray((keys >> width) == (low >> width))


def _histogram(keys: Keys, low: int, width: int) -> npt.NDArray[np.intp]:
    """Count the keys in each of the 65,536 bins of size 2**width that start at ``low``."""
    if width < 64 - _BITS:
        keys = keys[_inside(keys, low, width + _BITS)]
        if not len(keys):
            return np.zeros(1, np.intp)
    return np.bincount((keys >> width) - (low >> width), minlength=1 << _BITS)


def _narrowed(counts: npt.NDArray[np.int64], low: int, width: int, rank: int) -> tuple[int, int, int]:
    """Return the bin that contains a rank as (low, width, rank within the bin)."""
    ends = np.cumsum(counts)
    part = int(np.searchsorted(ends, rank, side="right"))
    return low + (part << width), width, rank - (int(ends[part - 1]) if part else 0)


def _parents(places: Sequence[tuple[int, int, int]], counted: Iterable[int], width: int) -> Iterator[tuple[int, int]]:
    """Yield the lower bound of each bin, and that of the interval that was divided into bins."""
    for low, _, _ in places:
        yield low, next(before for before in counted if before <= low < before + (1 << (width + _BITS)))


def _double(key: int) -> float:
    bits = key if key >= 0 else key ^ int(_MAGNITUDE)
    return float(np.int64(bits).view(np.float64))
