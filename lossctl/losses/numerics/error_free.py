"""Sums, products and quotients with what rounding took from them.

A function that magnifies the error of its argument, as exp(−(r/c)²/2) does by (r/c)², needs that
argument to more digits than a double holds. Dekker 1971, doi:10.1007/BF01397083; Knuth, TAOCP 2,
4.2.2. All of it holds for numbers whose products neither overflow nor underflow, about 1e-150 to 1e150.
"""

from __future__ import annotations

import numpy as np

from lossctl.core.arrays import Array

# 2²⁷ + 1 cuts the 53 bits of a double into halves of 26, whose products are exact.
_SPLITTER = 134217729.0


def difference(a: Array, b: Array) -> tuple[Array, Array]:
    """``a − b`` rounded, and what was lost: their sum is exactly a − b.

    >>> difference(np.array([1.0]), np.array([1e-20]))
    (array([1.]), array([-1.e-20]))
    """
    d = a - b
    back = a - d
    return d, (a - (d + back)) + (back - b)


def product(a: Array, b: Array | float) -> tuple[Array, Array]:
    """``a·b`` rounded, and what was lost.

    >>> high, low = product(np.array([1.0 + 2.0**-30]), 1.0 + 2.0**-30)
    >>> low == 2.0**-60
    array([ True])
    """
    p = np.asarray(a * b)
    a_high, a_low = _halves(a)
    b_high, b_low = _halves(np.asarray(b))
    return p, a_low * b_low - (((p - a_high * b_high) - a_low * b_high) - a_high * b_low)


def quotient(high: Array, low: Array, c: float) -> tuple[Array, Array]:
    """``(high + low)/c`` as such a pair."""
    q = high / c
    p, lost = product(q, c)
    return q, (((high - p) - lost) + low) / c


def _halves(x: Array) -> tuple[Array, Array]:
    big = _SPLITTER * x
    high = big - (big - x)
    return high, x - high
