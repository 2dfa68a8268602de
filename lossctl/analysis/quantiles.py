"""Exact quantiles of numbers too many to hold: by the bits of each, sixteen at a time.

A double's bits, with all but the sign turned over where it is negative, are an integer in the order of the
numbers. Counting the first sixteen of them says in which of 65,536 bins a rank is, counting the next
sixteen where in this bin, and so on: four passes at most, and two where what a bin holds fits in memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array

Keys = npt.NDArray[np.int64]

_BITS = 16
# Numbers that are gathered and sorted rather than counted once more: 16 MiB.
_GATHERED = 1 << 21
_PIECE = 1 << 15  # as many as stay in the cache while they are counted
_MAGNITUDE = np.int64(0x7FFF_FFFF_FFFF_FFFF)


def order_statistics(chunks: Callable[[], Iterable[Array]], ranks: Sequence[int]) -> list[float]:
    """The numbers at these ranks, from 0 for the smallest; NaN must not be among them.

    Args:
        chunks: gives all numbers each time it is called.

    >>> order_statistics(lambda: [np.array([4.0, 1.0]), np.array([3.0, 2.0])], [0, 3])
    [1.0, 4.0]
    """
    # The keys of each rank that are left: from low on, 2**width of them; and the rank among those.
    places = [(-(1 << 63), 64, rank) for rank in ranks]
    while True:
        width = places[0][1] - _BITS
        counted = {low: np.zeros(1 << _BITS, np.int64) for low, _, _ in places}
        for keys in _keys(chunks()):
            for low in counted:
                counted[low] += _histogram(keys, low, width)
        places = [_narrowed(counted[low], low, width, rank) for low, _, rank in places]
        held = {low: int(counted[before][(low - before) >> width]) for low, before in _parents(places, counted, width)}
        if not width or sum(held.values()) <= _GATHERED:
            break
    if not width:
        return [_double(low) for low, _, _ in places]
    found = {low: [np.empty(0, np.int64)] for low in held}
    for keys in _keys(chunks()):
        high = keys >> width
        for low, parts in found.items():
            parts.append(keys[high == low >> width])
    ordered = {low: np.sort(np.concatenate(parts)) for low, parts in found.items()}
    return [_double(int(ordered[low][rank])) for low, _, rank in places]


@dataclass(frozen=True)
class QuantilePosition:
    """Where a quantile of n numbers is: between two ranks, ``part`` of the way from one to the other."""

    below: int
    above: int
    part: float

    def value(self, at: Mapping[int, float]) -> float:
        """The quantile, of the numbers at its ranks: from the nearer one, as NumPy does it."""
        a, b, t = at[self.below], at[self.above], self.part
        step = b - a
        if not t or a == b:
            return a
        if math.isinf(step):  # one is infinite, or they have opposite signs and the step is beyond every double
            return a * (1.0 - t) + b * t
        return a + step * t if t < 0.5 else b - step * (1.0 - t)


def spot(q: float, n: int) -> QuantilePosition:
    """Where the quantile is by ``numpy.quantile``'s default, linear between order statistics.

    >>> spot(0.9, 4)
    Spot(below=2, above=3, part=0.7...)
    """
    place = q * (n - 1)
    below = math.floor(place)
    return QuantilePosition(below, min(below + 1, n - 1), place - below)


def _keys(chunks: Iterable[Array]) -> Iterator[Keys]:
    for chunk in chunks:
        for start in range(0, len(chunk), _PIECE):
            bits = np.ascontiguousarray(chunk[start : start + _PIECE]).view(np.int64)
            if bits.min() < 0:  # most losses have no sign, and their bits are the keys
                bits = (chunk[start : start + _PIECE] + 0.0).view(np.int64)  # + 0.0: no -0.0
                bits ^= (bits >> 63) & _MAGNITUDE
            yield bits


def _inside(keys: Keys, low: int, width: int) -> npt.NDArray[np.bool_]:
    return np.asarray((keys >> width) == (low >> width))


def _histogram(keys: Keys, low: int, width: int) -> npt.NDArray[np.intp]:
    """How many keys there are in each of the 65,536 parts of what starts at ``low``."""
    if width < 64 - _BITS:
        keys = keys[_inside(keys, low, width + _BITS)]
        if not len(keys):
            return np.zeros(1, np.intp)
    return np.bincount((keys >> width) - (low >> width), minlength=1 << _BITS)


def _narrowed(counts: npt.NDArray[np.int64], low: int, width: int, rank: int) -> tuple[int, int, int]:
    """The part in which a rank lies, and the rank in it."""
    ends = np.cumsum(counts)
    part = int(np.searchsorted(ends, rank, side="right"))
    return low + (part << width), width, rank - (int(ends[part - 1]) if part else 0)


def _parents(places: Sequence[tuple[int, int, int]], counted: Iterable[int], width: int) -> Iterator[tuple[int, int]]:
    """Each part, and what it is a part of."""
    for low, _, _ in places:
        yield low, next(before for before in counted if before <= low < before + (1 << (width + _BITS)))


def _double(key: int) -> float:
    bits = key if key >= 0 else key ^ int(_MAGNITUDE)
    return float(np.int64(bits).view(np.float64))
