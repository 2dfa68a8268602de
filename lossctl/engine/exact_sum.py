"""Sums of doubles as exact integers, in units of the smallest double."""

from __future__ import annotations

import math

import numpy as np

from lossctl.core.arrays import Array

_UNIT_BITS = 1074  # 2**-1074 is the smallest double


def exact(x: float) -> int:
    """A finite double in units of 2⁻¹⁰⁷⁴.

    >>> exact(0.1) + exact(0.2) - exact(0.3) == exact(2**-55 - 2**-57 + 2**-57)
    True
    """
    numerator, denominator = x.as_integer_ratio()
    return numerator << (_UNIT_BITS + 1 - denominator.bit_length())


def ratio(total: int, weight: int) -> float:
    """The quotient of two exact sums, rounded once; infinite where it is beyond every double.

    >>> ratio(exact(1.0), exact(3.0)) == 1 / 3
    True
    """
    try:
        return total / weight
    except OverflowError:
        return math.inf if total > 0 else -math.inf


def rounded(total: int) -> float:
    """An exact sum as a double, rounded once."""
    return ratio(total, 1 << _UNIT_BITS)


def exact_sum(values: Array) -> int:
    """The exact sum of one block: pairwise in float64, which loses 1e-15 of Σ|value| at most.

    Where that overflows it is done in integers.
    """
    with np.errstate(over="ignore"):
        quick = float(np.add.reduce(values))
    if math.isfinite(quick):
        return exact(quick)
    return sum(map(exact, values.tolist()))
