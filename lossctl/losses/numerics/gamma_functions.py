"""Log-gamma functions and the error function for arrays; NumPy lacks them, and ``math`` has them for single numbers."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from lossctl.core.arrays import Array
from lossctl.losses.numerics.elementary import select

_lgamma = np.frompyfunc(math.lgamma, 1, 1)

# The error function is computed by Taylor series about multiples of 1/16, with |h| ≤ 1/32. The first term left out,
# that of h¹⁰, is at most 0.005·h¹⁰ = 4e-18. From 6 on erf is 1 in double precision.
_ERF_STEP, _ERF_END, _ERF_TERMS = 1 / 16, 6.0, 9

# log Γ(1 + t) = −log(1 + t) + (1 − γ)t + Σ (−1)^k (ζ(k) − 1) t^k/k, for k = 2 … 28. At t = 1/2 the first term left out
# is 2^-29·2^-29/29. ζ(k) is a sum to 60 plus the Euler–Maclaurin formula, with a truncation error of 4e-18.
_EULER = 0.57721566490153286060651209008240243
_NEAR = 0.5


def _zeta_minus_one(k: int) -> float:
    n = 60
    tail = n ** (1.0 - k) / (k - 1) - 0.5 * n**-k + k * n ** (-k - 1.0) / 12
    tail -= k * (k + 1) * (k + 2) * n ** (-k - 3.0) / 720
    tail += k * (k + 1) * (k + 2) * (k + 3) * (k + 4) * n ** (-k - 5.0) / 30240
    return math.fsum([*(float(i) ** -k for i in range(2, n + 1)), tail])


_SERIES = [(-1) ** k * _zeta_minus_one(k) / k for k in range(2, 29)]


@cache
def _erf_table() -> Array:
    """Return the Taylor coefficients: for each power of h, from h⁰ on, those at 0, 1/16, …, 6."""
    table = []
    for i in range(round(_ERF_END / _ERF_STEP) + 1):
        x = i * _ERF_STEP
        # The derivative of order k + 1 is (−1)^k·H[k](x)·2/√π·e^(−x²), with Hermite's polynomials.
        slope, before, now = 2.0 / math.sqrt(math.pi) * math.exp(-x * x), 0.0, 1.0
        row = [math.erf(x)]
        for k in range(_ERF_TERMS):
            row.append((-1) ** k * now * slope / math.factorial(k + 1))
            before, now = now, 2.0 * x * now - 2.0 * k * before
        table.append(row)
    return np.ascontiguousarray(np.array(table).T)


def erf(x: Array) -> Array:
    """Return the error function for x ≥ 0.

    >>> erf(np.array([0.0, 1.0])).tolist()
    [0.0, 0.8427007929497149]
    """
    h = np.minimum(x, _ERF_END)
    nearest = np.rint(h / _ERF_STEP)
    h -= nearest * _ERF_STEP
    place = nearest.astype(np.intp)
    *factors, last = _erf_table()
    value = np.asarray(last.take(place))
    for factor in reversed(factors):
        value *= h
        value += factor.take(place)
    return value


def log_gamma(x: Array) -> Array:
    """Return ``log Γ(x)`` for x > 0."""
    return np.asarray(_lgamma(x), dtype=np.float64)


# Values at integers below this are in a table. Above, the first term of Stirling's series left out is 1e-20.
_TABLE = 256
_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


def log_gamma_from(t: Array, n: float) -> Array:
    """Return ``log Γ(t + n)`` for integers t ≥ 0 and n > 0.

    >>> log_gamma_from(np.array([0.0, 4.0]), 1.0).round(12).tolist()
    [0.0, 3.178053830348]
    """
    table = np.array([math.lgamma(k + n) for k in range(_TABLE)])
    value = table.take(np.minimum(t, _TABLE - 1).astype(np.intp))
    far = np.flatnonzero(t >= _TABLE)
    x = t[far] + n
    y = 1.0 / x
    y2 = y * y
    stirling = y * (1 / 12 - y2 * (1 / 360 - y2 / 1260))
    value[far] = ((x - 0.5) * np.log(x) - x) + (_HALF_LOG_2PI + stirling)
    return value


def log_factorial(t: Array) -> Array:
    """Return ``log Γ(t + 1)`` for real t ≥ 0, accurate to a few ulp (no Stirling approximation).

    >>> log_factorial(np.array([0.0, 1.0, 5.0])).round(12).tolist()
    [0.0, 0.0, 4.787491742782]
    """
    is_small = t < _NEAR  # t + 1 would lose the digits of a small t
    small = select(is_small, t, 0.0)
    series = np.full_like(small, _SERIES[-1])
    for factor in _SERIES[-2::-1]:
        series = series * small + factor
    low = (series * small + (1.0 - _EULER)) * small - np.log1p(small)
    return select(is_small, low, log_gamma(select(is_small, 1.0, t) + 1.0))


# Arguments below 8 are shifted up by 8. From 8 on, the terms left out of the expansion
# −Σ (2 − 2^(1 − 2k))·B[2k]/(2k(2k − 1)·x^(2k − 1)), with Bernoulli numbers B, are below 2e-17.
_FAR = 8
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798)
_STEP = [-(2.0 - 2.0 ** (1 - 2 * k)) * b / (2 * k * (2 * k - 1)) for k, b in enumerate(_BERNOULLI, 1)]


def log_half_step(x: Array) -> Array:
    """Return ``log Γ(x + 1/2) − log Γ(x) − log(x)/2`` for x > 0, to about 1e-15; it tends to −1/(8x).

    >>> f"{log_half_step(np.array([0.5, 1e10]))[0]:.12f}"
    '-0.225791352645'
    """
    small = np.flatnonzero(x < _FAR)
    y = x.copy()
    y[small] += _FAR
    np.divide(1.0, y, out=y)
    y2 = y * y
    value = np.full_like(y, _STEP[-1])
    for factor in _STEP[-2::-1]:
        value *= y2
        value += factor
    value *= y
    # log(Γ(x + ½)/Γ(x)) is its value at x + 8 minus Σ log((x + i + ½)/(x + i)) over i = 0 … 7.
    small_x = x[small]
    above, below = small_x + 0.5, small_x.copy()
    for i in range(1, _FAR):
        above *= small_x + (i + 0.5)
        below *= small_x + i
    value[small] += 0.5 * np.log1p(_FAR / small_x) - np.log(above / below)
    return value
