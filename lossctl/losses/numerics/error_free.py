"""Error-free transformations: differences and products with their exact roundoff, quotients with a close estimate.

exp(−(r/c)²/2) magnifies the relative error of r/c by (r/c)², so it needs r/c to more digits than a double has. The pair
(value, roundoff) has about twice the digits. Dekker 1971, doi:10.1007/BF01397083; Knuth, TAOCP 2, 4.2.2. Valid if no
product overflows or underflows: for numbers from about 1e-150 to 1e150.
"""

from __future__ import annotations

import numpy as np

from lossctl.core.arrays import Array

# 2²⁷ + 1 splits the 53 bits of a double into halves of 26 bits, whose products are exact.
_SPLITTER = 134217729.0


def difference(a: Array, b: Array) -> tuple[Array, Array]:
    """Return ``a − b`` rounded, and its roundoff; their sum is exactly a − b.

    >>> difference(np.array([1.0]), np.array([1e-20]))
    (array([1.]), array([-1.e-20]))
    """
    d = a - b
    back = a - d
    return d, (a - (d + back)) + (back - b)


def product(a: Array, b: Array | float) -> tuple[Array, Array]:
    """Return ``a·b`` rounded, and its roundoff; their sum is exactly a·b.

    >>> high, low = product(np.array([1.0 + 2.0**-30]), 1.0 + 2.0**-30)
    >>> low == 2.0**-60
    array([ True])
    """
    p = np.asarray(a * b)
    a_high, a_low = _halves(a)
    b_high, b_low = _halves(np.asarray(b))
    return p, a_low * b_low - (((p - a_high * b_high) - a_low * b_high) - a_high * b_low)


def quotient(high: Array, low: Array, c: float) -> tuple[Array, Array]:
    """Return ``(high + low)/c`` rounded, and its roundoff to the digits of a double."""
    q = high / c
    p, lost = product(q, c)
    return q, (((high - p) - lost) + low) / c


def _halves(x: Array) -> tuple[Array, Array]:
    big = _SPLITTER * x
    high = big - (big - x)
    return high, x - high
