"""Sums of doubles, and of products of two doubles, as exact integers in units of 2⁻²¹⁴⁸."""

from __future__ import annotations

import math

import numpy as np

from lossctl.core.arrays import Array

_UNIT_BITS = 2148  # 2**-1074 is the smallest double, 2**-2148 the smallest product of two


def exact(x: float) -> int:
    """Convert a finite double to an integer in units of 2⁻²¹⁴⁸.

    >>> exact(0.1) + exact(0.2) - exact(0.3) == exact(2**-55 - 2**-57 + 2**-57)
    True
    """
    numerator, denominator = x.as_integer_ratio()
    return numerator << (_UNIT_BITS + 1 - denominator.bit_length())


def ratio(total: int, weight: int) -> float:
    """Divide two exact sums and round once; infinite if the quotient overflows float64.

    >>> ratio(exact(1.0), exact(3.0)) == 1 / 3
    True
    """
    try:
        return total / weight
    except OverflowError:
        return math.inf if total > 0 else -math.inf


def shifted(total: int, exponent: int) -> int:
    """Multiply an exact sum by 2**exponent; exact, if the sum is that of doubles and the exponent at least -1074.

    >>> shifted(exact(3.0), -1) == exact(1.5)
    True
    """
    return total << exponent if exponent >= 0 else total >> -exponent


def rounded(total: int) -> float:
    """Convert an exact sum to a double, rounded once."""
    return ratio(total, 1 << _UNIT_BITS)


def exact_sum(values: Array) -> int:
    """Sum the values of one block in float64 and return the sum in units of 2⁻²¹⁴⁸.

    NumPy adds pairwise, with a roundoff of at most 1e-15 of Σ|value|. If the float64 sum overflows, the values
    are added exactly, as integers.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        quick = float(np.add.reduce(values))
    if math.isfinite(quick):
        return exact(quick)
    return sum(map(exact, values.tolist()))
