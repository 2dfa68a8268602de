"""Logarithms of ratios, and what divergences make of them, where both numbers are nearly the same or far apart."""

from __future__ import annotations

import numpy as np

from lossctl.kernels.kinds import Array
from lossctl.kernels.numerics import u_minus_log1p, xlog1py, xlogy

# (1 − d)·log(1 − d) + (1 + d)·log(1 + d) = Σ d^2n / (n·(2n − 1)) loses a factor 4 beyond 0.3, and up to
# there thirteen terms leave less than 1e-16 (0.09¹³/351) of the first.
_SERIES_BELOW = 0.3
_SERIES_TERMS = 13


def log_ratio(p: Array, q: Array) -> Array:
    """``log(p/q)``, good to a few ulp; 0 where both are 0."""
    u = (p - q) / q
    close = np.abs(u) < 0.5  # Sterbenz: p − q is exact there
    ratio = p / q
    far = np.where((np.isinf(ratio) | (ratio == 0)) & (p > 0) & (q > 0), np.log(p) - np.log(q), np.log(ratio))
    return np.where(p == q, 0.0, np.where(close, np.log1p(np.where(close, u, 0.0)), far))


def relative_entropy(p: Array, q: Array) -> Array:
    """``Σ p·log(p/q)`` over the last axis; 0 where p is 0."""
    # p·log(p/q) has the sign of p − q and cancels in the sum where q ≈ p. With u = (q − p)/p it is
    # p·(u − log1p u) + (p − q): a term that is never negative, and one that is exact.
    u = (q - p) / p
    close = np.abs(u) < 0.5  # Sterbenz: p − q is exact there; false where p = 0
    ratio = p / q
    far = xlogy(p, ratio)
    overflown = np.isinf(ratio) & (q > 0)
    if overflown.any():  # q is subnormal
        far[overflown] = p[overflown] * (np.log(p[overflown]) - np.log(q[overflown]))
    near = p * u_minus_log1p(np.where(close, u, 0.0))
    return np.asarray(np.where(close, near, far).sum(axis=-1) + np.where(close, p - q, 0.0).sum(axis=-1))


def bregman(p: Array, q: Array) -> Array:
    """``p·log(p/q) − p + q`` ≥ 0, element by element; q where p is 0."""
    u = (q - p) / p
    close = np.abs(u) < 0.5
    near = p * u_minus_log1p(np.where(close, u, 0.0))
    return np.where(close, near, np.where(p == 0, 0.0, p * log_ratio(p, q)) + (q - p))


def shared(d: Array) -> Array:
    """``(1 − d)·log(1 − d) + (1 + d)·log(1 + d)`` ≥ 0 of −1 ≤ d ≤ 1.

    >>> f"{shared(np.array([1e-8]))[0]:.12e}"
    '1.000000000000e-16'
    """
    square = d * d
    series = np.full_like(d, 1.0 / (_SERIES_TERMS * (2 * _SERIES_TERMS - 1)))
    for n in range(_SERIES_TERMS - 1, 0, -1):
        series = series * square + 1.0 / (n * (2 * n - 1))
    far = xlog1py(1.0 - d, -d) + xlog1py(1.0 + d, d)
    return np.where(np.abs(d) < _SERIES_BELOW, square * series, far)
