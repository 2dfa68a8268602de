"""Logarithms of the gamma function, and the error function: what NumPy lacks and ``math`` has one number at a time."""

from __future__ import annotations

import math

import numpy as np

from lossctl.kernels.kinds import Array
from lossctl.kernels.numerics import choose

_lgamma = np.frompyfunc(math.lgamma, 1, 1)
_erf = np.frompyfunc(math.erf, 1, 1)

# ζ(k) − 1 for k = 2 … 28: log Γ(1 + t) = −log(1 + t) + (1 − γ)t + Σ (−1)^k (ζ(k) − 1) t^k/k. At t = 1/2
# the next term is 2^-29·2^-29/29. (Σ n^-k: of the tail beyond N = 60, Euler–Maclaurin leaves 4e-18.)
_EULER = 0.57721566490153286060651209008240243
_NEAR = 0.5


def _zeta_minus_one(k: int) -> float:
    n = 60
    tail = n ** (1.0 - k) / (k - 1) - 0.5 * n**-k + k * n ** (-k - 1.0) / 12
    tail -= k * (k + 1) * (k + 2) * n ** (-k - 3.0) / 720
    tail += k * (k + 1) * (k + 2) * (k + 3) * (k + 4) * n ** (-k - 5.0) / 30240
    return math.fsum([*(float(i) ** -k for i in range(2, n + 1)), tail])


_SERIES = [(-1) ** k * _zeta_minus_one(k) / k for k in range(2, 29)]


def erf(x: Array) -> Array:
    """The error function.

    >>> erf(np.array([0.0, 1.0])).tolist()
    [0.0, 0.8427007929497149]
    """
    return np.asarray(_erf(x), dtype=np.float64)


def log_gamma(x: Array) -> Array:
    """``log Γ(x)`` of x > 0."""
    return np.asarray(_lgamma(x), dtype=np.float64)


def log_factorial(t: Array) -> Array:
    """``log Γ(t + 1)`` of t ≥ 0, exact to the last digits: no Stirling; t need not be whole.

    >>> log_factorial(np.array([0.0, 1.0, 5.0])).round(12).tolist()
    [0.0, 0.0, 4.787491742782]
    """
    near = t < _NEAR  # t + 1 would round a small t away
    small = choose(near, t, 0.0)
    series = np.full_like(small, _SERIES[-1])
    for factor in _SERIES[-2::-1]:
        series = series * small + factor
    low = (series * small + (1.0 - _EULER)) * small - np.log1p(small)
    return choose(near, low, log_gamma(choose(near, 1.0, t) + 1.0))


# Below 16 the argument is shifted up by so much; from there on the terms left out of the expansion
# 1/(8x) − 1/(192x³) + 1/(640x⁵) − 17/(14336x⁷) + 31/(18432x⁹) are below 1e-15 of the first.
_FAR = 16


def log_half_step(x: Array) -> Array:
    """``log Γ(x + 1/2) − log Γ(x) − log(x)/2`` of x > 0, which tends to −1/(8x).

    >>> f"{log_half_step(np.array([0.5, 1e10]))[0]:.12f}"
    '-0.225791352645'
    """
    near = x < _FAR
    far = choose(near, x + _FAR, x)
    y = 1.0 / far
    y2 = y * y
    found = -y * (1 / 8 - y2 * (1 / 192 - y2 * (1 / 640 - y2 * (17 / 14336 - y2 * (31 / 18432)))))
    if near.any():
        some = x[near]
        # log Γ(x + ½)/Γ(x) = that of x + 16, less Σ log((x + i + ½)/(x + i))
        steps = sum(np.log1p(0.5 / (some + i)) for i in range(_FAR))
        found[near] += 0.5 * np.log1p(_FAR / some) - steps
    return found
